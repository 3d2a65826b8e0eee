import numpy as np

from alae_tf.latents.directions import Direction
from export import calibration

LEFT = Direction("left", np.array([1.0, 0.0], np.float32), span=(-2.0, 4.0))
FREE = Direction("free", np.array([0.0, 1.0], np.float32))


def test_codes_are_moved_to_the_ends_of_spans():
    real = np.array([[1, 5], [1, 5], [1, 5], [1, 5], [3, 0]], np.float32)
    expected = [[-2, 5], [4, 5], [1, 2], [1, 8], [-2, 0]]
    np.testing.assert_allclose(calibration.edited(real, [LEFT, FREE]), expected)
    styles = np.stack([real - 1, real, real + 1], axis=1)  # their mean is w
    moved = calibration.edited(styles, [LEFT, FREE])
    np.testing.assert_allclose(moved.mean(axis=1), expected, atol=1e-6)
    np.testing.assert_allclose(moved[:, 2] - moved[:, 0], 2)


def test_codes_are_mixed_without_directions():
    real = np.array([[0, 0], [4, 8], [4, 0]], np.float32)
    expected = [[2, 0], [5, 10], [4, 4]]
    np.testing.assert_allclose(calibration.edited(real, []), expected)
    styles = np.stack([real, 2 * real], axis=1)
    np.testing.assert_allclose(calibration.edited(styles, [])[:, 1], 2 * np.array(expected))


class Model:
    """E gives the mean of an image's two quarters, F gives 7."""

    config = type("", (), {"styles": 3})

    def encode(self, pixels, layers):
        w = pixels.reshape(len(pixels), 2, -1).mean(axis=2).astype(np.float32)
        return np.repeat(w[:, np.newaxis], 3, axis=1) if layers else w

    def sample_w(self, count, seed):
        return np.full((count, 2), 7, np.float32)


def test_decoders_are_calibrated_with_real_random_and_edited_codes():
    pixels = np.arange(16).reshape(4, 2, 2, 1)
    w = calibration.codes(Model(), pixels, [LEFT], layers=False)  # pyright: ignore[reportArgumentType]
    np.testing.assert_allclose(w[::3, 0], [0.5, 4.5, 8.5, 12.5])
    assert (w[1::3] == 7).all()
    np.testing.assert_allclose(w[2::3, 0], [-2, 4, -2, 4])
    styles = calibration.codes(Model(), pixels, [LEFT], layers=True)  # pyright: ignore[reportArgumentType]
    np.testing.assert_allclose(styles, np.repeat(w[:, np.newaxis], 3, axis=1))
