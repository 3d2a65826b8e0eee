"""The functions of the kinds, on small untrained models."""

from types import SimpleNamespace

import numpy as np
import pytest

from alae_tf.config import Config
from alae_tf.data import evenly, open_source
from alae_tf.features import lpips
from alae_tf.figures import KINDS, Figure, FigureError, interpolate, reconstruct, training, traverse
from alae_tf.figures.embedding import METHODS, embed
from alae_tf.images import canvas
from alae_tf.images.plots import class_plot, curve_plot
from alae_tf.latents import directions
from alae_tf.latents.codes import mix as mixed
from alae_tf.latents.codes import to_styles
from alae_tf.latents.directions import Direction
from alae_tf.model import projection
from alae_tf.model.autoencoder import Autoencoder
from alae_tf.model.projection import Projection
from alae_tf.networks.alae import build_alae
from tests.helpers.fakes import Brightness

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


def figure(name, model, images=None, format="png", asked=None, seed=0):
    """A figure whose model and images are given instead of loaded."""
    made = Figure(KINDS[name], "", format, asked, seed)
    made.model, made.images = model, lambda count=None: images[:count]
    return made


def draw(made, **flags):
    """A picture or frames by a kind, its other flags at their defaults."""
    kind = made.kind
    missing = {name: options.get("default") for name, options in kind.flags.items()}
    return kind.draw(made, **{**missing, **flags})


def test_pairs(model, images):
    found = boxes(draw(figure("reconstruct", model, images, asked=8), mosaic=False), 2, 8)
    np.testing.assert_array_equal(found[0], images[:8, ..., 0])
    np.testing.assert_array_equal(found[1], model.reconstruct(images[:8])[..., 0])


def test_mosaic(model, images):
    picture = draw(figure("reconstruct", model, images), mosaic=True)
    side = 16 * 16  # the smallest of 64 px, the largest four times that
    assert picture.shape[0] == side + 16 and picture.shape[2] == 3
    large = picture[8 : 8 + side : 16, 8 : 8 + side : 16, 0]
    np.testing.assert_array_equal(large, images[0, ..., 0])
    few = reconstruct.in_sizes(images[:3], images[:3])  # some places stay white
    assert few.shape == picture.shape


def test_generate(model):
    few = figure("generate", model, asked=5, seed=3)
    found = boxes(draw(few, psi=[0.0, 1.0]), 2, 5)
    np.testing.assert_array_equal(found[0], model.generate(5, 3, 0.0)[..., 0])
    np.testing.assert_array_equal(found[1], model.generate(5, 3, 1.0)[..., 0])
    many = figure("generate", model, asked=20)
    assert draw(many, psi=[0.7]).shape == (4 * 66 + 14, 6 * 66 + 14, 3)


def test_between_images(model, images):
    found = boxes(draw(figure("interpolate", model, images[:3]), steps=4), 2, 6)
    for i in range(2):
        np.testing.assert_array_equal(found[i, 0], images[i, ..., 0])
        np.testing.assert_array_equal(found[i, -1], images[i + 1, ..., 0])
        ends = model.reconstruct(images[i : i + 2])[..., 0].astype(int)
        assert np.abs(found[i, 1] - ends[0]).max() <= 1
        assert np.abs(found[i, -2] - ends[1]).max() <= 1


@pytest.mark.parametrize("space", ["w", "z"])
def test_paths_between_random_codes(model, space):
    paths = interpolate.paths(figure("interpolate", model, asked=3, seed=4), 5, space, closed=True)
    w = model.sample_w(3, 4)
    assert len(paths) == 3
    for i, path in enumerate(paths):
        np.testing.assert_allclose(path[0], w[i], atol=1e-5)
        np.testing.assert_allclose(path[-1], w[(i + 1) % 3], atol=1e-5)
    straight = (w[0] + w[1]) / 2
    assert np.allclose(paths[0][2], straight, atol=1e-5) == (space == "w")


def test_a_path_of_two_codes_in_two_steps_is_its_ends():
    model = SimpleNamespace(
        sample_z=lambda count, seed: [[float(i), 1.0] for i in range(count)], map=lambda z: z
    )
    (path,) = interpolate.paths(SimpleNamespace(model=model, count=2, seed=0), 2, "w")  # pyright: ignore[reportArgumentType]
    assert path.tolist() == [[0, 1], [1, 1]]


def test_animations_loop(model, images):
    frames = draw(figure("interpolate", model, images[:3], "gif"), steps=4)
    assert len(frames) == 12
    first = boxes(frames[0], 1, 1)[0, 0].astype(int)
    assert np.abs(first - model.reconstruct(images[0])[..., 0]).max() <= 1
    codes = figure("interpolate", model, format="gif", asked=3)
    assert len(draw(codes, random=True, space="z", psi=1.0, steps=4)) == 12


def test_mixing(model, images):
    given = np.stack([images[2], images[0], images[3], images[1]])  # every second is a source
    found = boxes(draw(figure("mix", model, given), levels=["coarse", "2"]), 5, 3)
    source, destination = (to_styles(model.encode(x), 6) for x in (images[:2], images[2:4]))
    np.testing.assert_array_equal(found[0, 1:], model.decode(source)[..., 0])
    assert (found[0, 0] == 255).all()
    for i, rows in enumerate((slice(0, 2), slice(4, 6))):
        for j in range(2):
            row = found[1 + 2 * i + j]
            np.testing.assert_array_equal(row[0], model.decode(destination)[j, ..., 0])
            expected = model.decode(mixed(destination[j : j + 1], source, rows))[..., 0]
            np.testing.assert_array_equal(row[1:], expected)
    assert draw(figure("mix", model, given)).shape[0] > 7 * 66  # coarse, middle, fine
    mlp = Config(architecture="mlp", levels=1, image_size=16, hidden_size=8, latent_size=8)
    with pytest.raises(FigureError):
        draw(figure("mix", Autoencoder(mlp, build_alae(mlp)), images))


def test_traverse_goes_over_the_span(model, images, tmp_path):
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
    file = tmp_path / "a.json"
    directions.write(file, [direction, free])
    two = images[:2]
    found = boxes(draw(figure("traverse", model, two), directions=file, steps=3), 4, 4)
    np.testing.assert_array_equal(found[:2, 0], images[:2, ..., 0])
    np.testing.assert_array_equal(found[2, 2], model.reconstruct(images[0])[..., 0])
    w[:, 2] = 3
    np.testing.assert_array_equal(found[0, 3], model.decode(w)[0, ..., 0])
    frames = draw(figure("traverse", model, two, "gif"), directions=file, steps=5)
    assert len(frames) == 8  # of the first direction, there and back


@pytest.mark.parametrize("format", ["png", "gif"])
def test_training_shows_each_checkpoint(model, monkeypatch, format):
    source = open_source("mnist5k:")
    early = Autoencoder(model.config, model.alae, level=1, images_seen=10)
    monkeypatch.setattr(training, "checkpoint_numbers", lambda run_dir: [10, 1000])
    monkeypatch.setattr(training, "existing_run", lambda run_dir: run_dir)
    made = figure("training", model, format=format, asked=3, seed=1)
    made.held_out, made.model_at = lambda: source, {10: early, 1000: model}.get
    picture = draw(made)
    if format == "gif":
        assert len(picture) == 2 and picture[0].shape == picture[1].shape
        return
    found = boxes(picture, 6, 3)  # originals at 8 px, two rows, originals at 16 px, two rows
    real = np.stack([source.fitted(int(i), 16) for i in evenly(source, 3)])
    np.testing.assert_array_equal(found[3], real[..., 0])
    np.testing.assert_array_equal(found[4], model.reconstruct(real)[..., 0])
    np.testing.assert_array_equal(found[5], model.generate(3, 1)[..., 0])
    small = early.generate(3, 1)[..., 0]
    np.testing.assert_array_equal(found[2], small.repeat(2, axis=1).repeat(2, axis=2))


def test_nearest_are_the_nearest(model, monkeypatch, tmp_path):
    monkeypatch.setenv("ALAE_TF_CACHE", str(tmp_path))
    monkeypatch.setattr(lpips, "Lpips", Brightness)
    source = open_source("mnist5k:")
    made = figure("nearest", model, asked=2, seed=1)
    made.source = lambda: source
    found = boxes(draw(made, among=300), 2, 6)
    images = model.generate(2, 1)
    np.testing.assert_array_equal(found[:, 0], images[..., 0])
    known = np.stack([source.fitted(int(i), 16) for i in evenly(source, 300)])
    distance = np.abs(Brightness()(known)[:, 0] - Brightness()(images)[:1, 0])
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


def test_projections_are_shown_with_their_curve(model, images, monkeypatch):
    two = images[:2]
    curve = np.linspace(1, 0.2, 11)[np.newaxis].repeat(2, 0)
    codes = np.zeros((2, 8), np.float32)
    found = Projection(codes, codes, None, two[::-1], two, curve, curve**2)
    monkeypatch.setattr(lpips, "Lpips", Brightness)
    monkeypatch.setattr(projection, "project", lambda *args, **kwargs: found)
    picture = draw(figure("project", model, two))
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
