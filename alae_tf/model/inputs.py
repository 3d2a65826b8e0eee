"""What the methods of an `Autoencoder` take as images, besides arrays."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from alae_tf.system.errors import report

FILES = (str, os.PathLike, Image.Image)


def opened(images: Any, resolution: int, channels: int) -> Any:
    """Files and PIL images as an array, fitted as in training; other values unchanged.

    Args:
        images: a path or a PIL image → uint8 [resolution, resolution, channels]; an iterable
            of these in a fixed order → uint8 [N, resolution, resolution, channels].

    Raises:
        ImageError: a file does not exist or cannot be read.
    """
    one = isinstance(images, FILES)
    ordered = isinstance(images, Iterable) and not isinstance(images, Set | Mapping)
    if ordered and not one and getattr(images, "ndim", 1) == 1:
        images = list(images)
    given: Any = [images] if one else images
    several = isinstance(given, list) and all(isinstance(each, FILES) for each in given)
    if not several or not given:
        return images
    from alae_tf.images import files  # when needed: loading a model does without

    read = files.read_images(given, resolution, channels)
    return read[0] if one else read


def elements(dataset: tf.data.Dataset) -> Iterator[np.ndarray]:
    """The images, or batches of images, in a dataset; of tuples the first parts, as in Keras.

    Raises:
        ValueError: the dataset never ends, or has elements of another kind.
    """
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError("images: got a dataset that never ends; use dataset.take(count)")
    for element in dataset.as_numpy_iterator():
        element = element[0] if isinstance(element, tuple) and element else element
        if not isinstance(element, np.ndarray):
            kind = type(element).__name__
            raise ValueError(
                f"images: got a dataset of elements of type {kind}, expected arrays, or tuples "
                "that begin with one; use dataset.map"
            )
        yield element


class RangeCheck:
    """Reports once, for a model, floats that were probably scaled to [0, 1].

    In [−1, 1], 0 is a middle grey: images of which no pixel is darker are rare. Constant images
    tell nothing: all 0 may be black in the one range and grey in the other.
    """

    def __init__(self):
        self._reported = False

    def __call__(self, low: float, high: float) -> None:
        """`low` and `high` are the extreme values of all images of a call."""
        if 0 <= low < high and not self._reported:
            self._reported = True
            report(
                "images",
                f"all floats are in [{low:.3g}, {high:.3g}], where 0 is a middle grey. If they "
                "were scaled to [0, 1], give 2·x − 1 instead, or uint8 pixels.",
            )
