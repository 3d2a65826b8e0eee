"""Finds image files and reads them for a model. No TensorFlow."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path

import numpy as np
from PIL import Image

from alae_tf.images.fit import DIGIT, fit
from alae_tf.images.read import HEIF_EXTENSIONS, extensions, pixels_of, read_image, reason
from alae_tf.system.errors import AlaeError, printable, report

# Folders of previews and copies that systems and programs create beside images.
SIDE_FOLDERS = frozenset(
    "__MACOSX @eaDir @tmp @Recycle #recycle #snapshot $RECYCLE.BIN __pycache__ lost+found".split()
    + ["System Volume Information"]
)
# Tables, texts and arrays that often accompany images. They are not reported as left out.
COMPANIONS = frozenset(
    ".csv .db .html .ini .json .jsonl .log .md .mat .npy .npz .pkl .py .rst .sh .tsv .txt .xml "
    ".yaml .yml".split()
)


class ImageError(AlaeError):
    """An image file does not exist or cannot be read."""


def is_hidden(name: str) -> bool:
    """Whether a file or folder is ignored because of its name."""
    return name.startswith(".") or name in SIDE_FOLDERS


def sort_out(paths: Iterable[str]) -> tuple[list[str], Counter[str]]:
    """The image files among some paths, and the number of other files by extension, without
    `COMPANIONS`."""
    found: list[str] = []
    others: Counter[str] = Counter()
    endings = extensions()
    for path in paths:
        ending = os.path.splitext(path)[1].lower()
        if ending in endings:
            found.append(path)
        elif ending not in COMPANIONS:
            others[ending] += 1
    return found, others


def walk(root: str | PathLike) -> tuple[list[str], Counter[str], list[str]]:
    """Finds the image files in a folder and its subfolders.

    Links are followed, but each folder is visited once. `SIDE_FOLDERS` and names that begin with a
    dot are ignored, except for the root itself.

    Returns:
        The paths of the image files, unsorted; the number of other files by extension, without
        `COMPANIONS`; and the folders that cannot be entered.
    """
    found: list[str] = []
    others: Counter[str] = Counter()
    closed: list[str] = []
    visited: set[tuple[int, int]] = set()
    starts = [os.fspath(root)]
    while starts:  # first the folders in root itself, then those that links lead to
        links: list[str] = []
        for start in sorted(starts):
            walked = os.walk(start, onerror=lambda error: closed.append(error.filename))
            for folder, folders, names in walked:
                status = os.stat(folder)
                if (status.st_dev, status.st_ino) in visited:
                    folders.clear()
                    continue
                visited.add((status.st_dev, status.st_ino))
                folders[:] = sorted(f for f in folders if not is_hidden(f))
                links += [path for f in folders if os.path.islink(path := os.path.join(folder, f))]
                images, rest = sort_out(name for name in names if not is_hidden(name))
                found += [os.path.join(folder, name) for name in images]
                others += rest
        starts = links
    return found, others, closed


def left_out(others: Counter[str]) -> str:
    """The files that `walk` counted, for a message: "3 .heic, 1 .mov (advice)"."""
    counts = [f"{n:,} {ending or 'without an extension'}" for ending, n in others.most_common(8)]
    counts += ["…"] * (len(others) > 8)
    advice = "HEIC needs pillow-heif; " if others.keys() & set(HEIF_EXTENSIONS) else ""
    return f"{', '.join(counts)} ({advice}image files end in {', '.join(extensions())})"


def find(paths: Iterable[str | PathLike]) -> list[Path]:
    """The image files in a list of files and folders.

    The files in a folder and its subfolders are sorted; a warning counts those of other types.
    Raises ImageError if a path does not exist, is not a regular file, or is a folder without
    images.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found, others, _ = walk(path)
            inside = sorted(p for p in map(Path, found) if p.is_file())
            if not inside:
                held = f", only {left_out(others)}" if others else f" ({', '.join(extensions())})"
                raise ImageError(f"{path}: no image in it{held}.")
            if others:
                report(str(path), f"left out: {left_out(others)}.")
            files += inside
        elif path.is_file():
            files.append(path)
        else:
            raise ImageError(f"{path}: no such file or folder, or not a regular file.")
    if not files:
        raise ImageError("no image files were given.")
    return files


def open_file(file: str | PathLike | Image.Image, channels: int) -> np.ndarray:
    """Reads an image file, or a PIL image, see `alae_tf.images.read.read_image`; raises
    ImageError if it cannot be read."""
    try:
        if isinstance(file, Image.Image):
            return pixels_of(file, channels)
        return read_image(file, channels)
    except Exception as error:  # PIL's parsers raise many types
        why = printable(reason(error))
        raise ImageError(f"{file}: cannot be read as an image ({why}).") from None


def read_images(
    files: Sequence[str | PathLike | Image.Image],
    resolution: int,
    channels: int,
    leave_out: bool = False,
) -> np.ndarray:
    """The centre squares of image files, fitted as in training: uint8 [N, resolution, resolution,
    channels].

    Args:
        files: see `find`; or PIL images.
        resolution: pixels.
        channels: 1: colour images are converted to grey, with a warning; 3: grey images to RGB.
        leave_out: leave out files that cannot be read, with a warning, unless all are unreadable.

    Raises:
        ImageError: a file cannot be read; with `leave_out`, no file can be read.
    """
    images, colour, enlarged = [], 0, 0
    for file in files:
        try:
            pixels = open_file(file, 3)
        except ImageError as error:
            if not leave_out or (file == files[-1] and not images):
                raise
            report("left out", str(error))
            continue
        if channels == 1:
            colour += bool(np.ptp(pixels, axis=-1).any())
            pixels = open_file(file, 1)
        height, width, _ = pixels.shape
        enlarged += min(height, width) < resolution and not height == width == DIGIT
        images.append(fit(pixels, resolution))
    small = f"smaller than {resolution} px and were enlarged"
    for count, what in ((colour, "in colour and were converted to grey"), (enlarged, small)):
        if count:
            report("images", f"{count:,} of {len(files):,} images are {what}.")
    return np.stack(images)
