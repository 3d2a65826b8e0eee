import numpy as np
import pytest

from alae_tf.evaluation import registry
from alae_tf.evaluation.baseline import PrincipalComponents
from alae_tf.evaluation.samples import Protocol
from tests.helpers.fakes import Images


def plane(count, seed):
    """Images that lie in a plane: 128 ± 40·a (left and right half) ± 10·b (upper and lower)."""
    a, b = np.random.default_rng(seed).uniform(-1, 1, (2, count, 1, 1, 1))
    x = np.full((count, 8, 8, 1), 128.0)
    x[:, :, :4] += 40 * a
    x[:, :, 4:] -= 40 * a
    x[:, :4] += 10 * b
    x[:, 4:] -= 10 * b
    return np.round(x).astype(np.uint8)


def test_two_components_hold_a_plane():
    images = plane(200, 0)
    model = PrincipalComponents(Images(images), 8, 2)
    new = plane(20, 1)
    made = model.decode(model.encode(new))
    assert np.abs(made.astype(int) - new).max() <= 1
    spread = model.map(np.ones((1, 2), np.float32))[0] * 127.5
    # Variance of a uniform number in [−1, 1] is a third; 64 pixels.
    np.testing.assert_allclose(spread, [40 * (64 / 3) ** 0.5, 10 * (64 / 3) ** 0.5], rtol=0.1)


def test_no_more_components_than_images():
    model = PrincipalComponents(Images(plane(5, 0)), 8, 50)
    assert model.encode(plane(3, 1)).shape == (3, 5)


def test_it_is_measured_like_a_model():
    images = plane(100, 0)
    source = Images(images, held_out=Images(plane(30, 1)))
    model = PrincipalComponents(source, 8, 2)
    found = registry.evaluate(model, source, ["psnr", "latent_cycle"], Protocol())
    assert found[0].value > 45
    assert found[1].value == pytest.approx(0, abs=1e-3)
