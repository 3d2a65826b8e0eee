"""Image files that people name, as a model takes them. No TensorFlow."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from alae_tf.images.fit import DIGIT, fit
from alae_tf.images.read import HEIF_EXTENSIONS, extensions, read_image, reason
from alae_tf.system.errors import AlaeError, printable

# Besides those whose names begin with a dot: what systems and programs put beside people's images.
SIDE_FOLDERS = frozenset(
    "__MACOSX @eaDir #recycle #snapshot $RECYCLE.BIN __pycache__ lost+found".split()
    + ["System Volume Information"]
)
# What lies beside images without being meant as one: tables, texts, arrays. Not counted.
COMPANIONS = frozenset(
    ".csv .db .html .ini .json .jsonl .log .md .mat .npy .npz .pkl .py .rst .sh .tsv .txt .xml "
    ".yaml .yml".split()
)


class ImageError(AlaeError):
    """An image file is not there or cannot be read."""


def walk(root: str | PathLike) -> tuple[list[str], Counter[str], list[str]]:
    """Finds the image files in a folder and its subfolders.

    Links are followed, to each folder once. What is hidden (named with a dot first) is ignored, as
    are `SIDE_FOLDERS`: previews and copies, not the images themselves.

    Args:
        root: the folder, which may itself be hidden.

    Returns:
        The paths, from `root` on, of what is named as an image, unsorted; how many other files
        there are by ending, without `COMPANIONS`; and the folders that cannot be entered.
    """
    found: list[str] = []
    others: Counter[str] = Counter()
    closed: list[str] = []
    visited: set[tuple[int, int]] = set()
    endings = extensions()
    starts = [os.fspath(root)]
    while starts:  # first all that root holds itself, then what its links lead to
        links: list[str] = []
        for start in sorted(starts):
            for folder, folders, names in os.walk(
                start, onerror=lambda e: closed.append(e.filename)
            ):
                status = os.stat(folder)
                if (status.st_dev, status.st_ino) in visited:
                    folders.clear()
                    continue
                visited.add((status.st_dev, status.st_ino))
                folders[:] = sorted(
                    f for f in folders if f not in SIDE_FOLDERS and not f.startswith(".")
                )
                links += [path for f in folders if os.path.islink(path := os.path.join(folder, f))]
                for name in names:
                    ending = os.path.splitext(name)[1].lower()
                    if ending in endings and not name.startswith("."):
                        found.append(os.path.join(folder, name))
                    elif ending not in COMPANIONS and not name.startswith("."):
                        others[ending] += 1
        starts = links
    return found, others, closed


def left_out(others: Counter[str]) -> str:
    """The files that `walk` counted, by ending, for a message: "3 .heic, 1 .mov (advice)"."""
    counts = ", ".join(
        f"{count:,} {ending or 'without an ending'}" for ending, count in others.most_common(8)
    )
    if len(others) > 8:
        counts += ", …"
    heif = any(ending in HEIF_EXTENSIONS for ending in others)
    advice = "HEIC is read if pillow-heif is installed; " if heif else ""
    return f"{counts} ({advice}what is read: {', '.join(extensions())})"


def find(paths: Iterable[str | PathLike]) -> list[Path]:
    """The image files that paths name: files, and folders of them, sorted, with subfolders.

    Of a folder, one line on stderr counts the files of other types.

    Raises:
        ImageError: a path does not exist or is no regular file, or a folder holds no image.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found, others, _ = walk(path)
            inside = sorted(p for p in map(Path, found) if p.is_file())
            if not inside:
                held = f"holds {left_out(others)}" if others else f"({', '.join(extensions())})"
                raise ImageError(f"{path}: no image in it {held}.")
            if others:
                print(printable(f"{path}: left out: {left_out(others)}."), file=sys.stderr)
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
        why = printable(reason(error))
        raise ImageError(f"{file}: cannot be read as an image ({why}).") from None


def read_images(
    files: Sequence[str | PathLike], resolution: int, channels: int, leave_out: bool = False
) -> np.ndarray:
    """Image files, their middle squares fitted as in training.

    Args:
        files: as `find` gives them.
        resolution: pixels.
        channels: 1: colours become grey, which is reported; 3: grey serves as RGB.
        leave_out: leave out, with a report, those that cannot be read, if others can.

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
