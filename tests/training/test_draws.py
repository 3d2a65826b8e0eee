"""The random numbers of an update."""

import numpy as np
import tensorflow as tf

from alae_tf.networks.alae import build_alae
from alae_tf.training.draws import Draw, draw


def test_parts_of_a_draw_are_rows_of_examples():
    z = tf.reshape(tf.range(8.0), [4, 2])
    noise = [tf.ones([1, 4, 4, 1]), tf.reshape(tf.range(4.0), [4, 1, 1, 1])]
    part = Draw(z, noise, z + 10, tf.constant(3)).of_examples(lambda x: x[1:3])
    assert part.z.numpy().tolist() == [[2, 3], [4, 5]]
    assert part.noise is not None and part.z_mixed is not None and part.cutoff is not None
    assert part.noise[0].shape == (1, 4, 4, 1)  # one map for all examples
    assert part.noise[1].numpy().ravel().tolist() == [1, 2]
    assert part.z_mixed.numpy().tolist() == [[12, 13], [14, 15]]
    assert int(part.cutoff) == 3


def test_a_seed_fixes_the_draw_and_style_mixing_adds_to_it(small):
    alae, seed = build_alae(small), tf.constant([1, 2], tf.int64)
    plain = draw(small, alae, 1, 4, seed, mixes=False)
    mixed = draw(small.replace(style_mixing=1.0), alae, 1, 4, seed, mixes=True)
    assert plain.z_mixed is None and plain.cutoff is None
    assert mixed.z_mixed is not None and mixed.cutoff is not None
    np.testing.assert_array_equal(plain.z, mixed.z)
    assert 1 <= int(mixed.cutoff) <= 4  # of the 4 styles at level 1
    other = draw(small, alae, 1, 4, tf.constant([1, 3], tf.int64), mixes=False)
    assert (other.z.numpy() != plain.z.numpy()).all()
