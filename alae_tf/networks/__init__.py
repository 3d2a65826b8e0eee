"""F, G, E and D, what they are made of, and `alae.py`, which joins them."""

from alae_tf.environment import check_keras

check_keras()
