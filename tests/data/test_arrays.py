"""mnist5k: and idx:DIR."""

import gzip
import struct
import tracemalloc

import numpy as np
import pytest

from alae_tf.data import DataError, arrays, fixed_images, open_source

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
    held_out = arrays(mnist5k.held_out, 32)
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
        data = gzip.compress(idx(array)) if compressed else idx(array)
        (tmp_path / (name + ".gz" * compressed)).write_bytes(data)
    source = open_source(f"idx:{tmp_path}")
    assert len(source) == 3 and source.channels == 1
    assert source.image(1)[..., 0].tolist() == IMAGES[1].tolist()
    assert source.labels.tolist() == [2, 0, 1] and source.labels.dtype == np.int64
    assert len(source.held_out) == 1 and source.held_out.labels is None
    assert source.held_out.image(0)[0, 0].tolist() == [100]


def test_idx_needs_neither_labels_nor_a_test_set(tmp_path):
    halves = gzip.compress(idx(IMAGES)[:30]) + gzip.compress(idx(IMAGES)[30:])
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(halves)  # two gzip streams in one file
    source = open_source(f"idx:{tmp_path}")
    assert source.labels is None and source.held_out is None
    assert np.array_equal(source.images, IMAGES)


def test_idx_without_directory_or_images(tmp_path):
    assert "is not a directory" in error_of(f"idx:{tmp_path}/none")
    message = error_of(f"idx:{tmp_path}")
    assert "holds no train-images-idx3-ubyte, plain or .gz" in message and "Fetch" in message


# Whole, the file has 16 + 3 * 4 * 5 = 76 bytes.
@pytest.mark.parametrize(
    "name, data, parts",
    [
        ("", idx(IMAGES)[:-10], ["ends after 66 of 76 bytes. Fetch it again"]),
        ("", idx(IMAGES)[:7], ["ends after 7 of 16 bytes"]),
        ("", b"", ["ends after 0 of 16 bytes"]),
        ("", idx(IMAGES) + b"more", ["has more than the 76 bytes that its header promises"]),
        (".gz", gzip.compress(idx(IMAGES) + b"more"), ["more than the 76 bytes (uncompressed)"]),
        ("", idx(IMAGES[:0]), ["holds nothing"]),
        ("", idx(IMAGES, magic=2049), ["magic number 2049 instead of 2051", "not hold images"]),
        (".gz", gzip.compress(idx(IMAGES)[:-10]), ["ends after 66 of 76 bytes (uncompressed)"]),
        (".gz", gzip.compress(idx(IMAGES))[:-4], ["lacks the end of its gzip stream"]),
        (".gz", gzip.compress(idx(IMAGES), 0)[:50], ["ends after 35 of 76 bytes (uncompressed)"]),
        (".gz", idx(IMAGES), ["is damaged or no gzip file"]),
    ],
)
def test_idx_files_that_are_not_right(tmp_path, name, data, parts):
    name = f"train-images-idx3-ubyte{name}"
    (tmp_path / name).write_bytes(data)
    message = error_of(f"idx:{tmp_path}")
    parts = [name, "Fetch it again, or point --data", *parts]
    assert all(part in message for part in parts), message


def test_idx_counts_must_agree(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(2, np.uint8)))
    message = error_of(f"idx:{tmp_path}")
    assert "train-labels-idx1-ubyte has 2 labels for the 3 images of train-images-idx3" in message


def test_a_gz_file_is_read_no_further_than_its_header_tells(tmp_path):
    bomb = gzip.compress(idx(IMAGES) + bytes(2**26), 9)  # 64 MiB in 64 KiB
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(bomb)
    tracemalloc.start()
    try:
        message = error_of(f"idx:{tmp_path}")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "has more than the 76 bytes (uncompressed) that its header promises" in message
    assert peak < 2**22
