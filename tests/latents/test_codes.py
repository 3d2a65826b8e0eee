import numpy as np
import pytest

from alae_tf.latents import LatentError, codes


def test_lerp():
    a, b = np.array([0.0, 2.0]), np.array([4.0, 0.0])
    np.testing.assert_allclose(codes.lerp(a, b, 0.25), [1.0, 1.5])
    np.testing.assert_allclose(codes.lerp(a, b, [0, 1]), [a, b])
    styles = codes.lerp(np.zeros((3, 2)), np.ones((3, 2)), np.array([0.5, 1.0]))
    assert styles.shape == (2, 3, 2) and (styles[0] == 0.5).all()


def test_slerp_turns_evenly():
    path = codes.slerp(np.array([1.0, 0.0]), np.array([0.0, 3.0]), np.linspace(0, 1, 4))
    np.testing.assert_allclose(np.degrees(np.arctan2(*path.T[::-1])), [0, 30, 60, 90], atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(path, axis=1), [1, 5 / 3, 7 / 3, 3], rtol=1e-5)


def test_slerp_of_equal_and_of_opposite_vectors():
    a = np.array([[0.6, 0.8], [0.0, 0.0]])
    np.testing.assert_allclose(codes.slerp(a, a, 0.3), a, atol=1e-6)
    np.testing.assert_allclose(codes.slerp(a[0], -a[0], 0.5), [0, 0], atol=1e-6)


def test_mix_takes_rows_of_the_other():
    a, b = np.zeros((2, 4, 3)), np.ones((1, 4, 3))
    mixed = codes.mix(a, b, slice(1, 3))
    assert mixed.shape == (2, 4, 3)
    assert mixed[:, :, 0].tolist() == [[0, 1, 1, 0]] * 2
    assert (a == 0).all()


def test_move():
    w = np.array([[1.0, 1.0], [2.0, 2.0]])
    direction = np.array([0.0, 1.0])
    np.testing.assert_allclose(codes.move(w, direction, [1.0, -1.0]), [[1, 2], [2, 1]])
    styles = codes.to_styles(w, 4)
    assert styles.shape == (2, 4, 2)
    moved = codes.move(styles, direction, np.array([1.0, 3.0]), slice(2, 4))
    assert moved[:, :, 1].tolist() == [[1, 1, 2, 2], [2, 2, 5, 5]]
    assert (moved[:, :, 0] == w[:, :1]).all()
    assert codes.to_styles(styles, 9) is not None and codes.to_styles(styles, 9).shape == (2, 4, 2)
    with pytest.raises(LatentError, match="direction"):
        codes.move(w, np.zeros(3), 1.0)
