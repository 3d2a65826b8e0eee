"""Image files to pixels, the same for training, serving and devices. No TensorFlow."""

from __future__ import annotations

from os import PathLike
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

# A closed list: PIL would also run old or exotic parsers on whatever bears the name of a PNG.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
LONGEST_SIDE = 2**16 - 1  # pixels, JPEG's own limit


def open_image(file: str | PathLike | BinaryIO) -> Image.Image:
    """Reads the header only.

    Raises:
        Exception: of many types (PIL's), if this is no image, one with a side of more than
            `LONGEST_SIDE`, or one with more pixels than PIL's limit against decompression bombs
            (Image.MAX_IMAGE_PIXELS, 89 million).
    """
    image = Image.open(file, formats=FORMATS)
    limit = Image.MAX_IMAGE_PIXELS
    too_many = limit and image.width * image.height > limit  # PIL itself refuses from twice that
    if too_many or max(image.size) > LONGEST_SIDE:
        image.close()
        raise Image.DecompressionBombError(
            f"{image.width} x {image.height} pixels are too many, or a side is too long"
        )
    return image


def read_image(file: str | PathLike | BinaryIO, channels: int) -> np.ndarray:
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
