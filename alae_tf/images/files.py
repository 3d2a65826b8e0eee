"""Image files that people name, as a model takes them. No TensorFlow."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from alae_tf.errors import AlaeError, printable
from alae_tf.images.fit import DIGIT, fit
from alae_tf.images.read import read_image

EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")


class ImageError(AlaeError):
    """An image file is not there or cannot be read."""


def find(paths: Iterable[str | PathLike]) -> list[Path]:
    """The image files that paths name: files, and folders of them, sorted, with subfolders.

    Raises:
        ImageError: a path is not there or no regular file, or a folder holds no image.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = (p for p in path.rglob("*") if p.suffix.lower() in EXTENSIONS)
            inside = sorted(p for p in inside if p.is_file())
            if not inside:
                raise ImageError(f"{path}: no image in it ({', '.join(EXTENSIONS)}).")
            files += inside
        elif path.is_file():
            files.append(path)
        else:
            there = "is no regular file" if path.exists() else "no such file"
            raise ImageError(f"{path}: {there}, nor a folder.")
    if not files:
        raise ImageError("no image files were named.")
    return files


def open_file(file: str | PathLike, channels: int) -> np.ndarray:
    """`alae_tf.images.read.read_image`, whose many errors become one.

    Raises:
        ImageError: it cannot be read.
    """
    try:
        return read_image(file, channels)
    except Exception as error:  # PIL's plug-ins raise whatever their parser stumbles over
        why = printable(str(error))
        raise ImageError(f"{file}: cannot be read as an image ({why}).") from None


def read_images(
    files: Sequence[str | PathLike], resolution: int, channels: int, leave_out: bool = False
) -> np.ndarray:
    """Image files, their middle squares fitted as in training.

    Args:
        files: as `find` gives them.
        resolution: pixels.
        channels: 1: colours become grey, which is told; 3: grey serves as RGB.
        leave_out: those that cannot be read, if others can, and tell it.

    Returns:
        uint8 [N, resolution, resolution, channels].

    Raises:
        ImageError: one cannot be read, or none.
    """
    images, colour, enlarged = [], 0, 0
    for file in files:
        try:
            pixels = open_file(file, 3)
        except ImageError as error:
            if not leave_out or (file == files[-1] and not images):
                raise
            print(printable(f"left out: {error}"), file=sys.stderr)
            continue
        if channels == 1:
            colour += bool(np.ptp(pixels, axis=-1).any())
            pixels = read_image(file, 1)
        height, width, _ = pixels.shape
        enlarged += min(height, width) < resolution and not height == width == DIGIT
        images.append(fit(pixels, resolution))
    total = f"of {len(files):,} images"
    if colour:
        print(f"{colour:,} {total} are in colour and were turned grey.", file=sys.stderr)
    if enlarged:
        print(
            f"{enlarged:,} {total} are smaller than {resolution} px and were enlarged.",
            file=sys.stderr,
        )
    return np.stack(images)
