"""F, G, E and D, what they are made of, and `alae.py`, which joins them."""
