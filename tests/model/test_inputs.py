"""Datasets, paths and images of PIL as images of an `Autoencoder`; floats in the wrong range."""

import collections
import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from alae_tf.images.files import ImageError
from alae_tf.images.picture import png
from alae_tf.model.autoencoder import Autoencoder
from alae_tf.networks.alae import build_alae


@pytest.fixture
def model(small_mlp):
    return Autoencoder(small_mlp, build_alae(small_mlp))


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (7, 6, 6, 1), np.uint8)


def test_datasets_of_images_and_of_batches(model, pixels):
    w = model.encode(pixels)
    images = tf.data.Dataset.from_tensor_slices(pixels)
    pairs = tf.data.Dataset.zip(images, tf.data.Dataset.range(7))
    floats = images.map(lambda x: tf.cast(x, tf.float32) / 127.5 - 1)
    unknown = tf.data.Dataset.from_generator(lambda: iter(pixels), output_types=tf.uint8)
    for part in (3, 10_000):
        model._part = part
        for each in (images, images.batch(2), pairs, pairs.batch(4), floats.batch(3), unknown):
            np.testing.assert_allclose(model.encode(each), w, atol=1e-5)
    assert model.encode(images.take(0)).shape == (0, 8)
    assert model.encode(images, layers=True).shape == (7, 1, 8)
    np.testing.assert_allclose(model.score(images), model.score(pixels), atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        lambda images: images.repeat(),
        lambda images: images.map(lambda x: {"image": x}),
        lambda images: images.map(lambda x: ({"image": x}, 1)),
        lambda images: images.map(lambda x: x[:5]),
        lambda images: images.map(lambda x: tf.cast(x, tf.int32)),
        lambda images: images.map(lambda x: tf.cast(x, tf.float32)),
        lambda images: images.map(lambda x: "a.png"),
    ],
)
def test_datasets_of_something_else(model, pixels, change):
    with pytest.raises(ValueError, match="^images: "):
        model.encode(change(tf.data.Dataset.from_tensor_slices(pixels)))
    with pytest.raises(ValueError, match="^images: .*dataset"):
        model.reconstruct(tf.data.Dataset.from_tensor_slices(pixels))


def test_paths_and_images_of_pil(model, pixels, tmp_path):
    paths = [tmp_path / f"{k}.png" for k in range(7)]
    for path, each in zip(paths, pixels, strict=True):
        path.write_bytes(png(each))
    w = model.encode(pixels)
    opened = [Image.open(path) for path in paths]
    for many in (
        paths,
        tuple(map(str, paths)),
        (path for path in paths),
        sorted(tmp_path.glob("*.png")),
        np.array(list(map(str, paths))),
        np.array(paths),
        collections.deque(paths),
        opened,
        [*paths[:3], *opened[3:]],
    ):
        np.testing.assert_array_equal(model.encode(many), w)
    for one in (paths[2], str(paths[2]), opened[2]):
        np.testing.assert_allclose(model.encode(one), w[2], atol=1e-5)
    np.testing.assert_array_equal(model.reconstruct(opened), model.reconstruct(pixels))
    opened[0].getpixel((0, 0))  # still open


def test_images_of_pil_are_cropped_scaled_and_turned_as_files_are(model, tmp_path):
    wide = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.fromarray(wide).save(file, "PNG", exif=exif)
    (tmp_path / "a.png").write_bytes(file.getvalue())
    np.testing.assert_array_equal(model.encode(Image.open(file)), model.encode(tmp_path / "a.png"))


@pytest.mark.parametrize(
    "images",
    [None, {1: 2}, {"a", "b"}, [], [None], ["a.png", np.zeros((6, 6, 1), np.uint8)], b"a.png", 1],
)
def test_wrong_types(model, images):
    with pytest.raises(ValueError, match="^images: "):
        model.encode(images)


def test_files_that_cannot_be_read_are_named(model, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"bad")
    for path in (tmp_path / "none.png", tmp_path / "bad.png", tmp_path):
        with pytest.raises(ImageError, match=f"^{path}: "):
            model.encode([path])
    with pytest.raises(ImageError, match="F"):
        model.encode(Image.new("F", (6, 6)))
    with pytest.raises(ImageError, match="no pixels"):
        model.encode(Image.new("L", (9, 9)).crop((9, 9, 9, 12)))


def test_floats_from_0_to_1_are_reported_once(model, pixels, capsys):
    for fine in (
        pixels,
        pixels / 127.5 - 1,
        np.zeros((3, 6, 6, 1)),  # grey, or black on the wrong scale
        np.ones((6, 6, 1)),
        np.zeros((0, 6, 6, 1)),
    ):
        model.encode(fine)
        assert capsys.readouterr().err == ""
    model.encode(pixels / 255)
    assert "[0, 1]" in capsys.readouterr().err
    model.encode(pixels / 255)
    assert capsys.readouterr().err == ""


def test_a_bright_image_in_a_dataset_is_not_reported(model, pixels, capsys):
    floats = (pixels / 127.5 - 1).astype(np.float32)
    floats[0] = abs(floats[0])
    dataset = tf.data.Dataset.from_tensor_slices(floats)
    model.encode(dataset)
    assert capsys.readouterr().err == ""
    model.encode(dataset.map(lambda x: x / 2 + 0.5))
    assert "[0, 1]" in capsys.readouterr().err
