"""Image files to square pixels, the same for training, serving and devices. No TensorFlow."""

from os import PathLike
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

DIGIT, PADDED_DIGIT = 28, 32
# A closed list: PIL would also run old or exotic parsers on whatever bears the name of a PNG.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")


def open_image(file: str | PathLike | BinaryIO) -> Image.Image:
    """Reads the header only.

    Raises:
        Exception: of many types (PIL's), if this is no image or one with more pixels than PIL's
            limit against decompression bombs (Image.MAX_IMAGE_PIXELS, 89 million).
    """
    image = Image.open(file, formats=FORMATS)
    if image.width * image.height > Image.MAX_IMAGE_PIXELS:  # PIL itself refuses from twice that
        image.close()
        raise Image.DecompressionBombError(f"{image.width} x {image.height} pixels are too many")
    return image


def decode(file: str | PathLike | BinaryIO, channels: int) -> np.ndarray:
    """Reads one image, turned upright as its EXIF says; the first frame of an animation.

    16-bit grey is rounded to 8 bits (0xFFFF becomes 255). Transparent parts are laid on white:
    viewers and web pages show them so, and outlines drawn in black would vanish on black. CMYK
    becomes RGB by PIL's plain formula; colour profiles are not applied. Colour becomes grey by
    luma (0.299 R + 0.587 G + 0.114 B).

    Args:
        file: path, or file object open for reading bytes.
        channels: 1 for grey, 3 for RGB.

    Returns:
        uint8 [H, W, channels].

    Raises:
        Exception: as `open_image`; also if the file is cut short or damaged.
    """
    with open_image(file) as opened:
        opened.load()
        image = ImageOps.exif_transpose(opened)
        if image.mode.startswith("I"):  # I;16, I;16B, I: PIL's own conversion to L clips at 255
            wide = np.asarray(image).astype(np.int64).clip(0, 65535)
            image = Image.fromarray(((wide * 255 + 32767) // 65535).astype(np.uint8))
        if image.has_transparency_data:
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image.convert("RGBA"))
        pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], channels)


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
    square = Image.fromarray(image[..., 0] if channels == 1 else image)
    resized = np.asarray(square.resize((resolution, resolution), filter_))
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
