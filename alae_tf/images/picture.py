"""Grids of images, and PNG files. No TensorFlow."""

import io
import math

import numpy as np
from PIL import Image, PngImagePlugin

COLUMNS = 12  # images per row of a grid, at most
SMALLEST = 64  # pixels of an image in a grid; smaller images are enlarged
WIDEST = 2048  # pixels of a row of more than 4 images, at most


def columns(resolution: int) -> int:
    """The number of images per row: 12 for images up to 128 px, 4 from 512 px."""
    return max(4, min(COLUMNS, WIDEST // resolution))


def tile(images: np.ndarray) -> np.ndarray:
    """uint8 [n, H, W, C] → one picture, `columns(H)` images per row, small images enlarged."""
    across = columns(images.shape[1])
    factor = max(1, SMALLEST // images.shape[1])
    images = images.repeat(factor, axis=1).repeat(factor, axis=2)
    images = np.pad(images, [(0, 0), (1, 1), (1, 1), (0, 0)], constant_values=128)
    return lay_out(images, across)


def lay_out(images: np.ndarray, across: int | None = None) -> np.ndarray:
    """uint8 [n, H, W, C] → one picture, `across` images per row, the last row padded with black.

    By default the picture has about as many columns as rows.
    """
    across = across or math.ceil(math.sqrt(len(images)))
    images = np.pad(images, [(0, -len(images) % across), (0, 0), (0, 0), (0, 0)])
    n, height, width, channels = images.shape
    images = images.reshape(n // across, across, height, width, channels)
    return images.transpose(0, 2, 1, 3, 4).reshape(-1, across * width, channels)


def to_pixels(images: np.ndarray) -> np.ndarray:
    """Float images around [−1, 1] → uint8 pixels, like `alae_tf.networks.ops.to_pixels`."""
    return np.rint(np.clip(images * 127.5 + 127.5, 0, 255)).astype(np.uint8)


def to_image(pixels: np.ndarray) -> Image.Image:
    """uint8 [H, W, 1 or 3] → a PIL image, grey or RGB."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def png(pixels: np.ndarray, software: str | None = None) -> bytes:
    """uint8 [H, W, 1 or 3] → the bytes of a PNG file, in which the text `Software` says what wrote
    it, see `alae_tf.system.files.png_mark`."""
    file, texts = io.BytesIO(), PngImagePlugin.PngInfo()
    if software:
        texts.add_text("Software", software)
    to_image(pixels).save(file, "PNG", pnginfo=texts)
    return file.getvalue()
