"""mnist5k: and idx:DIR."""

import gzip
import os
import struct
import tracemalloc

import numpy as np
import pytest

from alae_tf.data import DataError, all_images, fixed_images, open_source

IMAGES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)


def idx(array: np.ndarray, magic: int | None = None) -> bytes:
    magic = magic or 0x0800 + array.ndim
    return struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.tobytes()


def error_of(uri: str) -> str:
    with pytest.raises(DataError) as error:
        open_source(uri)
    assert str(error.value).startswith(f"--data={uri}: ")
    return str(error.value)


@pytest.fixture(scope="module")
def mnist5k():
    return open_source("mnist5k:")


def test_mnist5k_holds_out_the_last_50_of_each_class(mnist5k):
    assert len(mnist5k) == 4500 and len(mnist5k.held_out) == 500
    assert np.bincount(mnist5k.labels).tolist() == [450] * 10
    assert np.bincount(mnist5k.held_out.labels).tolist() == [50] * 10
    assert mnist5k.labels.dtype == np.int64 and mnist5k.channels == 1
    pixels = mnist5k.image(0)
    assert pixels.shape == (28, 28, 1) and pixels.dtype == np.uint8 and pixels.max() == 255
    seen = {image.tobytes() for image in mnist5k.images}
    assert not any(image.tobytes() in seen for image in mnist5k.held_out.images)


def test_fixed_images_show_every_class(mnist5k):
    shown = fixed_images(mnist5k, 32, 10)
    held_out = all_images(mnist5k.held_out, 32)
    places = [(held_out == image).all(axis=(1, 2, 3)).argmax() for image in shown]
    assert mnist5k.held_out.labels[places].tolist() == list(range(10))


@pytest.mark.parametrize("joint", ["-", "."])
@pytest.mark.parametrize("compressed", [False, True])
def test_idx_reads_plain_and_gz_under_both_names(tmp_path, joint, compressed):
    for name, array in [
        (f"train-images{joint}idx3-ubyte", IMAGES),
        (f"train-labels{joint}idx1-ubyte", np.array([2, 0, 1], np.uint8)),
        (f"t10k-images{joint}idx3-ubyte", IMAGES[:1] + 100),
    ]:
        data = gzip.compress(idx(array), mtime=0) if compressed else idx(array)
        (tmp_path / (name + ".gz" * compressed)).write_bytes(data)
    source = open_source(f"idx:{tmp_path}")
    assert len(source) == 3 and source.channels == 1
    assert source.image(1)[..., 0].tolist() == IMAGES[1].tolist()
    assert source.labels.tolist() == [2, 0, 1] and source.labels.dtype == np.int64
    assert len(source.held_out) == 1 and source.held_out.labels is None
    assert source.held_out.image(0)[0, 0].tolist() == [100]


def test_idx_needs_neither_labels_nor_a_test_set(tmp_path):
    halves = gzip.compress(idx(IMAGES)[:30], mtime=0) + gzip.compress(idx(IMAGES)[30:], mtime=0)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(halves)  # two gzip streams in one file
    source = open_source(f"idx:{tmp_path}")
    assert source.labels is None and source.held_out is None
    assert np.array_equal(source.images[..., 0], IMAGES)


def test_idx_without_directory_or_images(tmp_path):
    assert f"{tmp_path}/none" in error_of(f"idx:{tmp_path}/none")
    assert "train-images-idx3-ubyte" in error_of(f"idx:{tmp_path}")


WHOLE = idx(IMAGES)  # 16 + 3 * 4 * 5 = 76 bytes


def packed(data: bytes, level: int = 9) -> bytes:
    return gzip.compress(data, level, mtime=0)


@pytest.mark.parametrize(
    "ending, data, numbers",
    [
        ("", WHOLE[:-10], "66 of 76"),
        ("", WHOLE[:7], "7 of 16"),
        ("", b"", "0 of 16"),
        ("", WHOLE + b"more", "76"),
        ("", idx(IMAGES[:0]), ""),
        ("", idx(IMAGES, magic=2049), "2049 instead of 2051"),
        (".gz", packed(WHOLE[:-10]), "66 of 76"),
        (".gz", packed(WHOLE + b"more"), "76"),
        (".gz", packed(WHOLE) + packed(b"x"), "76"),
        (".gz", packed(WHOLE)[:-4], ""),
        (".gz", packed(WHOLE, 0)[:50], ""),
        (".gz", packed(WHOLE)[:30] + b"damaged" + packed(WHOLE)[37:], ""),
        (".gz", WHOLE, ""),
    ],
)
def test_idx_files_that_are_not_right(tmp_path, ending, data, numbers):
    name = f"train-images-idx3-ubyte{ending}"
    (tmp_path / name).write_bytes(data)
    message = error_of(f"idx:{tmp_path}")
    assert name in message and numbers in message


@pytest.mark.parametrize("compressed", [False, True])
def test_idx_reads_no_more_than_the_header_promises(tmp_path, compressed):
    """A small .gz may inflate to any size, and so may a plain file with holes."""
    path = tmp_path / f"train-images-idx3-ubyte{'.gz' * compressed}"
    size = 200 * 2**20
    if compressed:
        with gzip.open(path, "wb", compresslevel=1) as file:
            file.write(idx(IMAGES))
            for _ in range(size // 2**20):
                file.write(bytes(2**20))
    else:
        path.write_bytes(idx(IMAGES))
        os.truncate(path, size)
    tracemalloc.start()
    try:
        assert "76 bytes" in error_of(f"idx:{tmp_path}")
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def test_a_header_that_promises_the_impossible(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(struct.pack(">4I", 2051, *[2**32 - 1] * 3))
    message = error_of(f"idx:{tmp_path}")
    assert "train-images-idx3-ubyte " in message and "16 of 79,2" in message


def test_digits_that_will_be_enlarged_are_reported(mnist5k, tmp_path, capsys):
    mnist5k.warn_about_sizes(28)
    mnist5k.warn_about_sizes(32)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    small = open_source(f"idx:{tmp_path}")
    small.warn_about_sizes(4)
    assert capsys.readouterr().err == ""
    mnist5k.warn_about_sizes(64)
    small.warn_about_sizes(8)
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("mnist5k:: ") and "28x28" in first and "64 px" in first
    assert second.startswith(f"idx:{tmp_path}: ") and "5x4" in second and "8 px" in second


def test_idx_counts_must_agree(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(2, np.uint8)))
    assert "2 train-labels" in error_of(f"idx:{tmp_path}")
