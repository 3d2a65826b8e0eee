"""The functions, on small untrained models: what stands where."""

import numpy as np
import pytest

from alae_tf.autoencoder import Autoencoder
from alae_tf.config import Config
from alae_tf.data import open_source
from alae_tf.figures import (
    METHODS,
    FigureError,
    generate,
    interpolate,
    mix,
    nearest,
    reconstruct,
    training,
    traverse,
)
from alae_tf.figures import project as project_
from alae_tf.figures.embedding import embed
from alae_tf.images import canvas
from alae_tf.images.plots import class_plot, curve_plot
from alae_tf.latents.codes import mix as mixed
from alae_tf.latents.codes import to_styles
from alae_tf.latents.directions import Direction
from alae_tf.latents.projection import Projection
from alae_tf.networks.alae import build_alae

GAP, BOX = 2, 64  # as `alae_tf.images.canvas` draws images of 16 px


@pytest.fixture(scope="module")
def model():
    config = Config(levels=3, image_channels=1, start_channels=8, max_channels=8, latent_size=8)
    alae, random = build_alae(config), np.random.default_rng(0)
    for block in alae.G.blocks:
        for style in (block.style_1, block.style_2):
            style.kernel.assign(random.normal(0, 0.6, style.kernel.shape))
    return Autoencoder(config, alae, images_seen=1000)


@pytest.fixture(scope="module")
def images(model):
    return model.generate(24, seed=9, psi=1.0)


def boxes(picture, rows, columns):
    """The images of a table from its lower right corner: uint8 [rows, columns, 16, 16]."""
    step = BOX + GAP
    height, width = rows * step - GAP, columns * step - GAP
    part = picture[-8 - height : len(picture) - 8, -8 - width : picture.shape[1] - 8, 0]
    return np.stack(
        [
            [
                part[i * step : i * step + BOX : 4, j * step : j * step + BOX : 4]
                for j in range(columns)
            ]
            for i in range(rows)
        ]
    )


def test_pairs(model, images):
    found = boxes(reconstruct.pairs(model, images[:8]), 2, 8)
    np.testing.assert_array_equal(found[0], images[:8, ..., 0])
    np.testing.assert_array_equal(found[1], model.reconstruct(images[:8])[..., 0])


def test_mosaic(model, images):
    picture = reconstruct.mosaic(model, images[:21])
    side = 16 * 16  # the smallest of 64 px, the largest four times that
    assert picture.shape[0] == side + 16 and picture.shape[2] == 3
    large = picture[8 : 8 + side : 16, 8 : 8 + side : 16, 0]
    np.testing.assert_array_equal(large, images[0, ..., 0])
    assert reconstruct.mosaic(model, images[:3]).shape == picture.shape  # some places stay white


def test_generate(model):
    found = boxes(generate.generate(model, 5, 3, [0.0, 1.0]), 2, 5)
    np.testing.assert_array_equal(found[0], model.generate(5, 3, 0.0)[..., 0])
    np.testing.assert_array_equal(found[1], model.generate(5, 3, 1.0)[..., 0])
    assert generate.generate(model, 20, 3, [0.7]).shape == (4 * 66 + 14, 6 * 66 + 14, 3)


def test_between_images(model, images):
    found = boxes(interpolate.between_images(model, images[:3], 4), 2, 6)
    for i in range(2):
        np.testing.assert_array_equal(found[i, 0], images[i, ..., 0])
        np.testing.assert_array_equal(found[i, -1], images[i + 1, ..., 0])
        ends = model.reconstruct(images[i : i + 2])[..., 0].astype(int)
        assert np.abs(found[i, 1] - ends[0]).max() <= 1
        assert np.abs(found[i, -2] - ends[1]).max() <= 1


@pytest.mark.parametrize("space", ["w", "z"])
def test_paths_between_random_codes(model, space):
    paths = interpolate.paths(model, 3, 5, 4, space, closed=True)
    w = model.sample_w(3, 4)
    assert len(paths) == 3
    for i, path in enumerate(paths):
        np.testing.assert_allclose(path[0], w[i], atol=1e-5)
        np.testing.assert_allclose(path[-1], w[(i + 1) % 3], atol=1e-5)
    straight = (w[0] + w[1]) / 2
    assert np.allclose(paths[0][2], straight, atol=1e-5) == (space == "w")
    with pytest.raises(FigureError, match="--space=q"):
        interpolate.paths(model, 3, 5, 4, "q")


def test_animations_loop(model, images):
    frames = interpolate.animation(model, images[:3], 0, 4, 0, "w", None)
    assert len(frames) == 12
    first = boxes(frames[0], 1, 1)[0, 0].astype(int)
    assert np.abs(first - model.reconstruct(images[0])[..., 0]).max() <= 1
    assert len(interpolate.animation(model, None, 3, 4, 0, "z", 1.0)) == 12


def test_mixing(model, images):
    found = boxes(mix.mix(model, images[:2], images[2:4], ["coarse", "2"]), 5, 3)
    source, destination = (to_styles(model.encode(x), 6) for x in (images[:2], images[2:4]))
    np.testing.assert_array_equal(found[0, 1:], model.decode(source)[..., 0])
    assert (found[0, 0] == 255).all()
    for i, rows in enumerate((slice(0, 2), slice(4, 6))):
        for j in range(2):
            row = found[1 + 2 * i + j]
            np.testing.assert_array_equal(row[0], model.decode(destination)[j, ..., 0])
            expected = model.decode(mixed(destination[j : j + 1], source, rows))[..., 0]
            np.testing.assert_array_equal(row[1:], expected)
    assert mix.mix(model, images[:2], images[2:4]).shape[0] > 7 * 66  # coarse, middle, fine
    mlp = Config(architecture="mlp", levels=1, image_size=16, hidden_size=8, latent_size=8)
    with pytest.raises(FigureError, match="takes a StyleALAE"):
        mix.mix(Autoencoder(mlp, build_alae(mlp)), images, images)


def test_traverse_goes_over_the_span(model, images):
    vector = np.eye(8, dtype=np.float32)[2]
    direction = Direction("third", vector, span=(-1.0, 3.0))
    w = model.encode(images[:2])
    far = traverse.amounts(direction, w, 3, 1.0)
    np.testing.assert_allclose(w[:, 2:3] + far, [[-1, 1, 3]] * 2, atol=1e-6)
    np.testing.assert_allclose(
        w[:, 2:3] + traverse.amounts(direction, w, 2, 2.0), [[-3, 5]] * 2, atol=1e-6
    )
    free = Direction("free", vector)
    np.testing.assert_allclose(traverse.amounts(free, w, 3, 0.5), [[-1.5, 0, 1.5]] * 2)
    found = boxes(traverse.traverse(model, images[:2], [direction, free], 3), 4, 4)
    np.testing.assert_array_equal(found[:2, 0], images[:2, ..., 0])
    np.testing.assert_array_equal(found[2, 2], model.reconstruct(images[0])[..., 0])
    w[:, 2] = 3
    np.testing.assert_array_equal(found[0, 3], model.decode(w)[0, ..., 0])
    assert len(traverse.animation(model, images[:2], direction, 5)) == 8  # there and back


def test_training_shows_each_checkpoint(model):
    source = open_source("mnist5k:")
    early = Autoencoder(model.config, model.alae, level=1, images_seen=10)
    picture = training.training([early, model], source, 3, seed=1)
    found = boxes(picture, 6, 3)  # originals at 8 px, two rows, originals at 16 px, two rows
    real = np.stack([source.fitted(i, 16) for i in (0, 1500, 3000)])
    np.testing.assert_array_equal(found[3], real[..., 0])
    np.testing.assert_array_equal(found[4], model.reconstruct(real)[..., 0])
    np.testing.assert_array_equal(found[5], model.generate(3, 1)[..., 0])
    small = early.generate(3, 1)[..., 0]
    np.testing.assert_array_equal(found[2], small.repeat(2, axis=1).repeat(2, axis=2))
    frames = training.animation([early, model], source, 3, seed=1)
    assert len(frames) == 2 and frames[0].shape == frames[1].shape


class Mean:
    """Features: the brightness alone."""

    name, sha256 = "mean", "0"

    def __call__(self, images):
        return images.reshape(len(images), -1).mean(axis=1, keepdims=True).astype(np.float32)


def test_nearest_are_the_nearest(model, monkeypatch, tmp_path):
    monkeypatch.setenv("ALAE_TF_CACHE", str(tmp_path))
    source = open_source("mnist5k:")
    found = boxes(nearest.nearest(model, source, Mean(), 2, seed=1, most=300), 2, 6)
    images = model.generate(2, 1)
    np.testing.assert_array_equal(found[:, 0], images[..., 0])
    places = np.linspace(0, len(source), 300, endpoint=False).astype(int)
    known = np.stack([source.fitted(int(i), 16) for i in places])
    distance = np.abs(Mean()(known)[:, 0] - Mean()(images)[:1, 0])
    np.testing.assert_array_equal(found[0, 1], known[distance.argmin(), ..., 0])
    shown = np.abs(found[0, 1:].mean(axis=(1, 2)) - images[0].mean())
    assert (np.diff(shown) >= -1e-4).all()


def test_embedding_keeps_classes_together_and_its_bytes():
    random = np.random.default_rng(0)
    labels = np.arange(90) % 3
    w = random.normal(0, 0.3, (90, 8)) + 5 * np.eye(8)[labels]
    for method in METHODS:
        points = embed(w.astype(np.float32), method, seed=1)
        assert points.shape == (90, 2)
        middles = np.stack([points[labels == k].mean(axis=0) for k in range(3)])
        nearest_middle = np.linalg.norm(points[:, None] - middles, axis=2).argmin(axis=1)
        assert (nearest_middle == labels).mean() > 0.95
        for kind in ("png", "pdf"):
            data = class_plot(points, labels, ["a", "b", "c"], kind)
            assert data == class_plot(points, labels, ["a", "b", "c"], kind)


def test_projections_are_shown_with_their_curve(model, images):
    two = images[:2]
    curve = np.linspace(1, 0.2, 11)[np.newaxis].repeat(2, 0)
    codes = np.zeros((2, 8), np.float32)
    found = Projection(codes, codes, None, two[::-1], two, curve, curve**2)
    picture = project_.project(two, found)
    shown = canvas.table([list(two), list(two[::-1]), list(two)], ["x", "G(E(x))", "projected"])
    table = picture[-300 - len(shown) : -300, : shown.shape[1]]
    rows = boxes(table, 3, 2)
    np.testing.assert_array_equal(rows[0], two[..., 0])
    np.testing.assert_array_equal(rows[1], two[::-1, ..., 0])
    np.testing.assert_array_equal(rows[2], two[..., 0])
    np.testing.assert_array_equal(
        picture[-300:, :600],
        curve_plot({"LPIPS": curve[0], "mean squared error": curve[0] ** 2}, "iteration"),
    )
