"""Pixels of any size to square ones, the same for training, serving and devices. No TensorFlow."""

from __future__ import annotations

import numpy as np
from PIL import Image

from alae_tf.images.picture import to_image

DIGIT, PADDED_DIGIT = 28, 32


def fit(image: np.ndarray, resolution: int) -> np.ndarray:
    """Makes an image square and `resolution` pixels wide.

    The centre square is cut out and resized in one go: to a smaller size by area averaging (each
    pixel is the mean of the area it covers, rounded along rows and then along columns), to a
    larger one with PIL's bicubic.

    Digits: a 28x28 image stays as it is at resolution 28. At every other resolution it first gets
    2 black pixels on each side, so that it halves evenly from 32 on: at 16 a digit is the mean of
    2x2 blocks of the padded image.

    Args:
        image: uint8 [H, W, C], C = 1 or 3.
        resolution: pixels.

    Returns:
        uint8 [resolution, resolution, C].
    """
    height, width, channels = image.shape
    if height == width == DIGIT != resolution:
        padded = np.zeros([PADDED_DIGIT, PADDED_DIGIT, channels], np.uint8)
        padded[2:-2, 2:-2] = image
        image, height, width = padded, PADDED_DIGIT, PADDED_DIGIT
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    image = image[top : top + side, left : left + side]
    if side == resolution:
        return image
    if side % resolution and side > resolution:  # PIL's box takes each pixel whole or not at all
        return _area_means(_area_means(image, resolution, axis=1), resolution, axis=0)
    filter_ = Image.Resampling.BOX if side > resolution else Image.Resampling.BICUBIC
    resized = np.asarray(to_image(image).resize((resolution, resolution), filter_))
    return resized.reshape(resolution, resolution, channels)


def _area_means(image: np.ndarray, resolution: int, axis: int) -> np.ndarray:
    """Means over `resolution` equal parts of an axis of a uint8 image, rounded.

    The sum of the pixels that begin in a part, mended by the shares of those that its edges cut.
    """
    side = image.shape[axis]
    edges = np.arange(resolution + 1) * side  # in parts of a pixel, `resolution` of them in each
    pixel = np.minimum(edges // resolution, side - 1)  # the one that an edge lies in
    share = np.expand_dims(edges - pixel * resolution, (1 - axis, 2))
    sums = np.add.reduceat(image, pixel, axis=axis, dtype=np.int64)
    sums = sums.take(range(resolution), axis=axis)
    cut = np.diff(share * image.take(pixel, axis=axis), axis=axis)
    means = (2 * (sums * resolution + cut) + side) // (2 * side)  # exact, halves upwards
    return means.astype(np.uint8)
