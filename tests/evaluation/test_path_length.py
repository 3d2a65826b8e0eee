from types import SimpleNamespace

import numpy as np
import pytest

from alae_tf.evaluation import path_length
from alae_tf.evaluation.samples import Protocol

A = np.random.default_rng(0).normal(size=(8, 16))


class Linear:
    """A linear generator, w = 2z, whose images have 16 values."""

    def sample_z(self, count, seed):
        return np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)

    def map(self, z):
        return 2 * z

    def truncate(self, w, psi):
        return w * psi


def samples(**protocol):
    """Distance: squared, so that a linear generator has the same length everywhere."""
    network = SimpleNamespace(distance=lambda a, b: ((a - b) ** 2).sum(axis=1))
    return SimpleNamespace(
        model=Linear(),
        protocol=Protocol(**protocol),
        count=200,
        counts={},
        network=lambda name: network,
        decode=lambda w, start, floats: w.astype(np.float64) @ A,
    )


@pytest.mark.parametrize("where", ["full", "end"])
def test_path_length_of_a_linear_generator(where):
    """|(b − a)·2A|² of each pair, whatever t; then without the lowest and the highest hundredth."""
    z = Linear().sample_z(400, 0).astype(np.float64)
    exact = np.sort((((z[200:] - z[:200]) @ (2 * A)) ** 2).sum(axis=1))
    mine = samples()
    value = path_length.path_length(mine, "w", where)
    assert value == pytest.approx(exact[1:-1].mean(), rel=1e-3)
    assert mine.counts == {"pairs": 200}
    assert path_length.path_length(samples(psi=0.5), "w", where) == pytest.approx(value / 4, 1e-3)


def test_path_length_in_z_at_the_end():
    """Near t = 0 the path leaves a along the part of b across it, at the speed of the angle times
    the length √d."""
    z = Linear().sample_z(400, 0).astype(np.float64)
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (z[:200], z[200:]))
    along = (a * b).sum(axis=1, keepdims=True)
    across = (b - along * a) / np.sqrt(1 - along**2)
    moved = np.sqrt(z.shape[1]) * np.arccos(along) * across
    exact = np.sort(((moved @ (2 * A)) ** 2).sum(axis=1))
    value = path_length.path_length(samples(), "z", "end")
    assert value == pytest.approx(exact[1:-1].mean(), rel=2e-3)


def test_arcs_by_hand():
    a, b = np.array([[2.0, 0.0]]), np.array([[0.0, 5.0]])
    half, same = path_length.arcs(
        np.concatenate([a, a]), np.concatenate([b, a]), np.array([0.5, 0.3])
    )
    np.testing.assert_allclose(half, [1, 1], atol=1e-6)
    np.testing.assert_allclose(same, [2**0.5, 0], atol=1e-6)


def test_images_over_256_pixels_are_shrunk_by_means():
    images = np.arange(1024 * 1024, dtype=np.float32).reshape(1, 1024, 1024, 1)
    found = path_length.shrunk(images)
    assert found.shape == (1, 256, 256, 1)
    assert found[0, 0, 0, 0] == images[0, :4, :4, 0].mean()
    assert found[0, 1, 2, 0] == images[0, 4:8, 8:12, 0].mean()
    assert path_length.shrunk(images[:, :256, :256]).shape == (1, 256, 256, 1)


@pytest.mark.parametrize(
    ("crop", "side", "rows", "columns"),
    [("ffhq", 8, (3, 7), (2, 6)), ("celeba", 128, (41, 119), (25, 103))],
)
def test_the_authors_crops(crop, side, rows, columns):
    images = np.arange(side**2).reshape(1, side, side, 1)
    found = path_length.middle(images, path_length.CROPS[crop])
    np.testing.assert_array_equal(found, images[:, slice(*rows), slice(*columns)])


def test_cropped_images_are_compared():
    mine = samples(crop="ffhq")
    shapes = []
    mine.decode = lambda w, start, floats: np.zeros((len(w), 64, 64, 1))
    mine.network = lambda name: SimpleNamespace(
        distance=lambda a, b: shapes.append(a.shape) or np.zeros(len(a))
    )
    path_length.path_length(mine, "w", "end")
    assert {shape[1:] for shape in shapes} == {(32, 32, 1)}
