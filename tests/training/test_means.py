from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from alae_tf.runs.checkpoint import NonFiniteError
from alae_tf.training.means import MIN_LOSS_SCALE, Means


def losses(d, g=1.0, latent=2.0):
    return {"d": tf.constant(d), "g": tf.constant(g), "latent": tf.constant(latent)}


def scale(value):
    return SimpleNamespace(value=tf.Variable(value))


def test_means_since_the_last_time():
    means = Means(("d", "g", "latent"), None)
    means.put(0, losses(1.0))
    assert means.summed == 0  # looked at when the next iteration has begun
    means.put(8, losses(4.0))
    assert means.take() == {"d": 2.5, "g": 1.0, "latent": 2.0}
    assert means.take() is None
    means.put(16, losses(7.0))
    assert means.take()["d"] == 7.0


def test_a_loss_that_is_not_finite_is_reported_with_its_place():
    means = Means(("d", "g", "latent"), None)
    means.put(8, losses(1.0, g=np.inf))
    with pytest.raises(NonFiniteError, match="loss_g.* 8 images"):
        means.put(16, losses(1.0))


def test_float16_skips_what_overflows_until_its_scale_is_used_up():
    means = Means(("d", "g", "latent"), scale(1024.0))
    means.put(0, losses(np.nan))
    means.put(8, losses(3.0))
    assert means.take()["d"] == 3.0
    means = Means(("d", "g", "latent"), scale(MIN_LOSS_SCALE / 2))
    means.put(24, losses(np.nan))
    with pytest.raises(NonFiniteError, match="float16.* 24 images.*--precision"):
        means.settle()
