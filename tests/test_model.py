import numpy as np
import pytest
import tensorflow as tf

from alae_tf.model import build_alae


def test_truncation_by_hand(small):
    alae = build_alae(small)
    alae.w_avg.assign(np.full((4, 8), 2.0))
    styles = tf.fill([1, 4, 8], 4.0)
    truncated = alae.truncate(styles, psi=0.25, cutoff=3)
    assert truncated[0, :, 0].numpy().tolist() == [2.5, 2.5, 2.5, 4.0]


def test_style_mixing_by_hand(small):
    alae = build_alae(small)
    mixed = alae.mix(tf.zeros([2, 4, 8]), tf.ones([2, 4, 8]), cutoff=1)
    assert mixed[1, :, 0].numpy().tolist() == [0, 1, 1, 1]


def test_noise_modes(small):
    alae = build_alae(small)
    assert alae.noise("none", 2) is None
    const = alae.noise("const", 2)
    assert [n.shape for n in const] == [(1, 4, 4, 1)] * 2 + [(1, 8, 8, 1)] * 2
    random, same, other = (alae.noise("random", 2, seed=seed) for seed in (1, 1, 2))
    assert [tuple(n.shape) for n in random] == [(1, 4, 4, 1), (2, 4, 4, 1)] + [(2, 8, 8, 1)] * 2
    assert all((a.numpy() == b.numpy()).all() for a, b in zip(random, same, strict=True))
    assert all((a.numpy() != b.numpy()).any() for a, b in zip(random, other, strict=True))
    with pytest.raises(ValueError, match="got 'some', expected random, const or none"):
        alae.noise("some", 2)


def test_same_seed_same_weights(small):
    first, second, other = build_alae(small), build_alae(small), build_alae(small, seed=1)
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (first.F.dense[0].kernel.numpy() != other.F.dense[0].kernel.numpy()).any()


def test_reconstruction_is_decode_of_encode(small_mlp):
    alae = build_alae(small_mlp)
    x = tf.random.stateless_normal([2, 6, 6, 1], [0, 0])
    np.testing.assert_allclose(alae(x), alae.decode(alae.encode(x)), atol=1e-6)
    np.testing.assert_allclose(alae.logits(x), alae.D(alae.encode(x)), atol=1e-6)
