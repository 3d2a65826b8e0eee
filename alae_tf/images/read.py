"""Reads image files, for training, serving and devices. No TensorFlow."""

import functools
import importlib.util
from os import PathLike
from typing import BinaryIO

import numpy as np
from PIL import Image, PngImagePlugin, UnidentifiedImageError

# Closed lists: PIL would otherwise try old and exotic parsers on any file.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
EXTENSIONS = tuple(".png .apng .jpg .jpeg .jpe .jfif .webp .bmp .gif .tif .tiff".split())
HEIF_EXTENSIONS = (".heic", ".heif", ".hif")  # of phones; they need pillow-heif
# JPEG's own limit. The limit on the area would accept a single column of 80 million pixels, for
# which PIL needs half a minute and 3 GB.
MOST_SIDE = 65_535
MOST_TEXT = 64 * 2**20  # bytes of a colour profile or text in a PNG, decompressed; PIL's is 2**20
ORIENTATION = 0x0112  # EXIF tag
# By PIL's name of a PNG's pixels: the factor by which it scales them to 8 bits. It does not scale
# the grey that stands for transparent.
SCALES = {"L;2": 85, "L;4": 17}
UPRIGHT = {  # by value of the tag: the transposition that makes the image upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@functools.cache
def reads_heif() -> bool:
    """Whether pillow-heif is installed; registers its reader with PIL."""
    if importlib.util.find_spec("pillow_heif") is None:
        return False
    import pillow_heif  # pyright: ignore[reportMissingImports] (optional)

    pillow_heif.register_heif_opener()
    return True


def extensions() -> tuple[str, ...]:
    """The extensions of the image files that all commands read, in lower case."""
    return EXTENSIONS + (HEIF_EXTENSIONS if reads_heif() else ())


def open_image(file: str | PathLike | BinaryIO) -> Image.Image:
    """Opens an image, reading only its header.

    Raises:
        Exception: one of PIL's many types, if the file is not an image; DecompressionBombError if a
            side is longer than `MOST_SIDE` or there are more pixels than PIL's limit against
            decompression bombs (Image.MAX_IMAGE_PIXELS, 89 million). See `reason`.
    """
    PngImagePlugin.MAX_TEXT_CHUNK = MOST_TEXT
    image = Image.open(file, formats=FORMATS + (("HEIF",) if reads_heif() else ()))
    limit = Image.MAX_IMAGE_PIXELS
    # PIL itself accepts images up to twice its limit.
    if max(image.size) > MOST_SIDE or (limit and image.width * image.height > limit):
        image.close()
        raise Image.DecompressionBombError(f"{image.width} x {image.height} pixels are too many")
    return image


def reason(error: Exception) -> str:
    """Why a file cannot be read, in a few words."""
    if isinstance(error, UnidentifiedImageError):  # its message is only the path
        return f"not a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} file"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def read_image(file: str | PathLike | BinaryIO, channels: int) -> np.ndarray:
    """Reads an image, turned upright according to its EXIF: uint8 [H, W, channels].

    Of an animation, the first frame is read. 16-bit grey is rounded to 8 bits (0xFFFF becomes 255).
    Transparent parts become white, as in most viewers; black outlines would vanish on black. CMYK
    is converted to RGB by PIL's plain formula; colour profiles are ignored. Colour is converted to
    grey by luma (0.299 R + 0.587 G + 0.114 B).

    Raises:
        Exception: see `open_image`; also if the file is cut short or damaged, or its pixels are
            floating-point numbers, whose range is unknown.
    """
    with open_image(file) as opened:
        is_png = isinstance(opened, PngImagePlugin.PngImageFile)
        stored = opened.tile[0][3] if is_png and opened.tile else ""
        opened.load()
        if stored in SCALES and "transparency" in opened.info:
            opened.info["transparency"] *= SCALES[stored]
        return pixels_of(opened, channels)


def pixels_of(image: Image.Image, channels: int) -> np.ndarray:
    """The pixels of an opened image, uint8 [H, W, channels]; see `read_image`."""
    image = _upright(image)
    if 0 in image.size:  # for example a crop outside an image
        raise ValueError("has no pixels")
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers")
    if image.mode.startswith("I"):  # I;16, I;16B, I: PIL's own conversion to L clips at 255
        wide = np.asarray(image).astype(np.int64).clip(0, 65535)
        image = Image.fromarray(((wide * 255 + 32767) // 65535).astype(np.uint8))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], channels)


def _upright(image: Image.Image) -> Image.Image:
    """Turns an image upright according to its EXIF.

    Only the orientation is read: PIL's `exif_transpose` fails on other fields of wrong types, which
    some cameras and editors write.
    """
    try:
        orientation = image.getexif().get(ORIENTATION)
    except Exception:  # PIL's parser raises many types; damaged EXIF is ignored
        return image
    method = UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if method is None else image.transpose(method)
