"""What is known of images, by name: a column of numbers each."""

from __future__ import annotations

import csv
import io
import math
import mimetypes
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from alae_tf.data import Source
from alae_tf.data.folder import FolderSource
from alae_tf.latents import LatentError
from alae_tf.system.errors import printable

LARGEST_FILE = 2**28  # bytes of a table that are read
LARGEST = 1e30  # of a value; what is beyond has no square
NAMES_SHOWN, LONGEST_SHOWN = 3, 60  # names in a message, characters of each
MOST_CLASSES = 20  # of a column of texts


def of(source: Source, labels: str) -> dict[str, np.ndarray]:
    """The columns that --labels names: name → float64 [len(source)], NaN where nothing is known.

    Args:
        source: the images.
        labels: "classes": the source's own, a column each; "folders": the first folder of each
            file likewise; "attribute:NAME,…" of a TFDS set; or a table, see `read_csv`.

    Raises:
        LatentError, DataError: the source has no such labels, or the file cannot be read.
    """
    if labels == "classes":
        if source.labels is None:
            raise LatentError(f"--labels=classes: {source.uri} has no classes.")
        return columns(source.class_names, np.asarray(source.labels))
    if labels == "folders":
        return columns(*folder_source(source, labels).classes())
    if labels.startswith("attribute:"):
        from alae_tf.data.tfds_source import TfdsSource

        if not isinstance(source, TfdsSource):
            raise LatentError(f"--labels={labels}: {source.uri} is no set of TFDS.")
        names = labels.removeprefix("attribute:").split(",")
        return {name.rpartition("/")[2]: source.values(name) for name in names}
    images = folder_source(source, labels).files
    return read_csv(Path(os.path.expanduser(labels)), images)


def columns(names: Sequence[str] | None, classes: np.ndarray) -> dict[str, np.ndarray]:
    """A column for each class: 1 for its images, 0 for others.

    Args:
        names: of the classes; default: their numbers.
        classes: of each image, [n].
    """
    kinds = np.unique(classes)
    return {str(names[int(k)]) if names else str(k): (classes == k).astype(float) for k in kinds}


def folder_source(source: Source, labels: str) -> FolderSource:
    """The source, if its images are files of a folder.

    Raises:
        LatentError: they are not.
    """
    if not isinstance(source, FolderSource):
        raise LatentError(f"--labels={labels}: goes with --data=folder:DIR, not {source.uri}.")
    return source


def read_csv(path: Path, images: Sequence[str]) -> dict[str, np.ndarray]:
    """The columns of a table with a header, in the order of `images`.

    A column of texts becomes a column for each of its values, named COLUMN=VALUE: 1 for its images,
    0 for others. What is left out is reported on stderr: columns that hold neither numbers nor
    classes, texts among numbers, rows without an image and images without a row.

    Args:
        path: a CSV file with commas, tabs or semicolons (then perhaps with decimal commas), or a
            table with blanks like CelebA's list_attr_celeba.txt. Its first column names images as
            `images` does; folder and extension may be missing where that leaves no choice.
        images: paths, relative to the images' folder.

    Returns:
        name → float64 [len(images)], NaN where nothing is known.

    Raises:
        LatentError: it cannot be read as a table, or none of its rows names an image.
    """
    where = f"--labels={path}"
    try:
        header, *rows = _read_rows(path)
    except OSError as error:
        raise LatentError(
            f"{where}: {error.strerror}; say classes, folders, attribute:NAME or a CSV file."
        ) from None
    except (csv.Error, ValueError) as error:
        raise LatentError(f"{where}: no CSV file ({printable(str(error))}).") from None
    if len(header) < 2 or len(set(header)) < len(header) or not rows:
        raise LatentError(
            f"{where}: expected a header with different names, the first for image files, "
            "and a row for each image."
        )
    places = _places(images)
    cells = np.full([len(images), len(header) - 1], "", object)
    missing, named = [], set()
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise LatentError(
                f"{where}, row {number}: {len(row)} cells, the header has {len(header)}."
            )
        place = places.get(row[0], places.get(_stem(row[0])))
        if place is None:
            missing.append(row[0])
        else:
            cells[place] = row[1:]
            named.add(place)
    if not named:
        raise LatentError(f"{where}: none of its rows names a single image: {_few(missing)}.")
    report = [
        (missing, "rows without an image, or with a name that several have"),
        ([name for i, name in enumerate(images) if i not in named], "images without a row"),
    ]
    found, texts, left_out = {}, [], []
    for name, column in zip(header[1:], cells.T, strict=True):
        numbers = np.array([_number(cell) for cell in column])
        filled = column != ""
        if 2 * np.isfinite(numbers).sum() >= max(1, filled.sum()):
            found[name] = numbers
            texts += list(column[filled & np.isnan(numbers)])
        elif classes := _classes(column[filled]):
            for each in classes:
                found[f"{name}={each}"] = np.where(filled, column == each, np.nan)
        else:
            left_out.append(name)
    report += [
        (texts, "cells among numbers that are none, ignored"),
        (left_out, f"columns of neither numbers nor 2 to {MOST_CLASSES} classes, left out"),
    ]
    for names, what in report:
        if names:
            print(f"directions: {where}: {what}: {len(names):,} ({_few(names)}).", file=sys.stderr)
    if not found:
        raise LatentError(f"{where}: none of its columns holds numbers or classes.")
    return found


def _read_rows(path: Path) -> list[list[str]]:
    """The rows of a table, the header first."""
    if path.exists() and not path.is_file():
        raise ValueError("not a regular file")
    if path.stat().st_size > LARGEST_FILE:
        raise ValueError("larger than any table of labels")
    text = path.read_text(encoding="utf-8-sig").lstrip()
    first, _, rest = text.partition("\n")
    if first.strip().isdecimal():  # CelebA's tables begin with the number of their rows
        text, first = rest, rest.partition("\n")[0]
    mark = max(",;\t", key=first.count)
    if mark in first:
        table = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
        rows = [[cell.strip() for cell in row] for row in table if row]
    else:
        rows = [line.split() for line in text.split("\n") if line.strip()]
        if len(rows) > 1 and len(rows[1]) == len(rows[0]) + 1:  # CelebA's files have no heading
            rows[0].insert(0, "")
    if not rows:
        raise ValueError("it is empty")
    return rows


def _classes(texts: np.ndarray) -> list[str]:
    """The different texts of a column, in order; none if they rather name or describe each image:
    more than `MOST_CLASSES` of them, all different, or names of image files."""
    classes = sorted(set(texts))
    files = any((mimetypes.guess_type(each)[0] or "").startswith("image/") for each in classes)
    few = 2 <= len(classes) <= min(MOST_CLASSES, len(texts) - 1)
    return classes if few and not files else []


def _places(images: Sequence[str]) -> dict[str, int]:
    """Indices of images by their paths, and by paths without folder, extension or both where only
    one image has such a name."""
    places = {name: i for i, name in enumerate(images)}
    for short in (os.path.basename, _stem, lambda name: os.path.basename(_stem(name))):
        alike = Counter(map(short, images))
        for i, name in enumerate(images):
            if alike[short(name)] == 1:
                places.setdefault(short(name), i)
    return places


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]


def _few(names: Sequence[str]) -> str:
    """The first names, for a message."""
    shown = ", ".join(printable(name[:LONGEST_SHOWN]) for name in names[:NAMES_SHOWN])
    return f"{shown} …" if len(names) > NAMES_SHOWN else shown


def _number(text: str) -> float:
    """A cell, perhaps with a decimal comma; NaN if it is empty or no finite number."""
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return math.nan
    return value if abs(value) < LARGEST else math.nan
