"""Fits images to a square of a resolution, for training, serving and devices. No TensorFlow."""

import numpy as np
from PIL import Image

from alae_tf.images.picture import to_image

DIGIT, PADDED_DIGIT = 28, 32


def fit(image: np.ndarray, resolution: int) -> np.ndarray:
    """Makes an image, uint8 [H, W, 1 or 3], square: uint8 [resolution, resolution, 1 or 3].

    The centre square is cropped and resized in one step: to a smaller size by area averaging (each
    pixel is the mean of the area it covers, rounded along rows and then along columns), to a larger
    size with PIL's bicubic filter.

    Digits: a 28x28 image is unchanged at resolution 28. For every other resolution it is first
    padded with 2 black pixels on each side, because 32 can be halved evenly: at 16, each pixel is
    the mean of a 2x2 block of the padded image.
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
    if side % resolution and side > resolution:  # PIL's box filter does not divide pixels
        return _area_means(_area_means(image, resolution, axis=1), resolution, axis=0)
    filter_ = Image.Resampling.BOX if side > resolution else Image.Resampling.BICUBIC
    resized = np.asarray(to_image(image).resize((resolution, resolution), filter_))
    return resized.reshape(resolution, resolution, channels)


def _area_means(image: np.ndarray, resolution: int, axis: int) -> np.ndarray:
    """Means over `resolution` equal parts of an axis of a uint8 image, rounded.

    The sum of each part is that of the pixels that begin in it, corrected for the pixels that its
    edges cut.
    """
    side = image.shape[axis]
    edges = np.arange(resolution + 1) * side  # in units of 1/resolution of a pixel
    pixel = np.minimum(edges // resolution, side - 1)  # the pixel that contains each edge
    share = np.expand_dims(edges - pixel * resolution, (1 - axis, 2))
    sums = np.add.reduceat(image, pixel, axis=axis, dtype=np.int64)
    sums = sums.take(range(resolution), axis=axis)
    cut = np.diff(share * image.take(pixel, axis=axis), axis=axis)
    means = (2 * (sums * resolution + cut) + side) // (2 * side)  # exact, halves upwards
    return means.astype(np.uint8)
