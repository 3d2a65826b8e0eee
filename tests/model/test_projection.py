"""Descent on a small StyleALAE, with a stand-in for LPIPS that needs no weights."""

import numpy as np
import pytest
import tensorflow as tf

from alae_tf.latents import LatentError
from alae_tf.model.autoencoder import Autoencoder
from alae_tf.model.projection import project
from alae_tf.networks.alae import build_alae


class Half:
    """The mean absolute difference of images at half the size."""

    def distance_graph(self, a, b):
        a, b = (tf.nn.avg_pool2d(x, 2, 2, "VALID") for x in (a, b))
        return tf.reduce_mean(tf.abs(a - b), [1, 2, 3])


@pytest.fixture(scope="module")
def model():
    from alae_tf.config import Config

    config = Config(levels=2, image_channels=1, start_channels=8, max_channels=8, latent_size=8)
    alae, random = build_alae(config), np.random.default_rng(0)
    for block in alae.G.blocks:  # untrained, G draws nearly the same whatever w is
        for style in (block.style_1, block.style_2):
            style.kernel.assign(random.normal(0, 0.6, style.kernel.shape))
    return Autoencoder(config, alae)


@pytest.fixture(scope="module")
def images(model):
    return model.decode(model.sample_w(10, seed=5))


@pytest.mark.parametrize("space", ["w", "styles"])
def test_both_errors_fall_for_every_image(model, images, space):
    found = project(model, images[:3], Half(), space, steps=40)
    assert found.after.shape == {"w": (3, 8), "styles": (3, 4, 8)}[space]
    assert found.perceptual.shape == found.squared.shape == (3, 41)
    assert (found.perceptual[:, -1] < 0.67 * found.perceptual[:, 0]).all()
    assert (found.squared[:, -1] < 0.67 * found.squared[:, 0]).all()
    np.testing.assert_array_equal(found.reconstructed, model.reconstruct(images[:3]))
    np.testing.assert_array_equal(found.projected, model.decode(found.after))
    difference = found.projected / 127.5 - images[:3] / 127.5
    np.testing.assert_allclose(found.squared[:, -1], (difference**2).mean((1, 2, 3)), atol=2e-3)


def test_an_image_is_projected_the_same_in_any_company(model, images):
    together = project(model, images, Half(), steps=5)  # in parts of 8 and 2
    alone = project(model, images[9:], Half(), steps=5)
    np.testing.assert_allclose(together.after[9:], alone.after, atol=1e-4)
    assert together.projected.shape == images.shape


def test_a_strong_pull_keeps_the_code_where_e_put_it(model, images):
    free, pulled = (
        project(model, images[:2], Half(), steps=20, pull=pull) for pull in (0.0, 100.0)
    )
    start = free.before
    assert np.abs(pulled.after - start).max() < 0.1 * np.abs(free.after - start).max()


def test_noise_may_move_too(model, images):
    for block in model.alae.G.blocks:
        block.noise_1.assign(np.full(block.noise_1.shape, 0.3))
    try:
        found = project(model, images[:2], Half(), steps=10, noise=True)
        constant = model.alae.noise("const", 1, model.level)
        assert found.noise is not None and len(found.noise) == len(constant)
        for mine, there in zip(found.noise, constant, strict=True):
            assert (mine != there).any()
            for each in mine:  # neither faded out nor drawn with
                assert each.std() == pytest.approx(there.std(), rel=1e-3)
                assert each.mean() == pytest.approx(there.mean(), abs=1e-4)
        assert project(model, images[:2], Half(), steps=1).noise is None
    finally:
        for block in model.alae.G.blocks:
            block.noise_1.assign(np.zeros(block.noise_1.shape))


@pytest.mark.parametrize(
    ("option", "value"),
    [("space", "z"), ("steps", 0), ("pixels", -1.0), ("pull", "a"), ("pull", float("nan"))],
)
def test_wrong_options(model, images, option, value):
    with pytest.raises(LatentError, match=f"^{option}: got"):
        project(model, images[:1], Half(), **{option: value})
