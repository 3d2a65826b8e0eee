"""What is known of images, by name: a column of numbers each."""

from __future__ import annotations

import csv
import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from alae_tf.data import Source
from alae_tf.data.folder import FolderSource
from alae_tf.errors import printable
from alae_tf.latents import LatentError

LARGEST_FILE = 2**28  # bytes of a CSV that are read
LARGEST = 1e30  # of a value; what is beyond has no square
NAMES_SHOWN = 3


def of(source: Source, labels: str) -> dict[str, np.ndarray]:
    """The columns that --labels names: name → float64 [len(source)], NaN where nothing is known.

    Args:
        source: the images.
        labels: "classes": the source's own, a column each; "folders": the first folder of each
            file likewise; "attribute:NAME,…" of a TFDS set; or a CSV file, whose first column
            names image files and whose others hold numbers or nothing.

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
    """Columns of numbers of a CSV file with a header, in the order of `images`.

    Args:
        path: the file; its first column names images as `images` does, or without their folder
            where no two are named alike.
        images: paths, relative to the images' folder.

    Raises:
        LatentError: it is no such file, or names images that are not there.
    """
    try:
        if path.is_file() and path.stat().st_size > LARGEST_FILE:
            raise LatentError(f"--labels={path}: larger than any file of labels.")
        with open(path, newline="", encoding="utf-8-sig") as file:
            read = [row for row in csv.reader(file, strict=True) if row]
            if not read:
                raise ValueError("it is empty")
            header, *rows = read
    except OSError as error:
        raise LatentError(
            f"--labels={path}: {error.strerror}; say classes, folders, attribute:NAME or a CSV "
            "file."
        ) from None
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise LatentError(f"--labels={path}: no CSV file ({printable(str(error))}).") from None
    if len(header) < 2 or len(set(header)) < len(header) or not rows:
        raise LatentError(
            f"--labels={path}: expected a header with different names, the first for image files, "
            "and a row for each image."
        )
    places = {name: i for i, name in enumerate(images)}
    alike = Counter(Path(name).name for name in images)
    for i, name in enumerate(images):
        if alike[Path(name).name] == 1:
            places.setdefault(Path(name).name, i)
    columns = {name: np.full(len(images), np.nan) for name in header[1:]}
    missing = []
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise LatentError(
                f"--labels={path}, row {number}: {len(row)} cells, the header has {len(header)}."
            )
        place = places.get(row[0])
        if place is None:
            missing.append(row[0])
            continue
        for name, text in zip(header[1:], row[1:], strict=True):
            columns[name][place] = _number(text)
    if missing:
        shown = ", ".join(map(printable, missing[:NAMES_SHOWN]))
        raise LatentError(
            f"--labels={path}: {len(missing):,} of its {len(rows):,} rows name images that are "
            f"not in the folder, or several of them: {shown}"
            f"{' …' if len(missing) > NAMES_SHOWN else ''}"
        )
    numbers = {name: values for name, values in columns.items() if np.isfinite(values).any()}
    if not numbers:
        raise LatentError(f"--labels={path}: none of its columns holds numbers.")
    return numbers


def _number(text: str) -> float:
    """A cell; NaN if it is empty or no finite number."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if abs(value) < LARGEST else math.nan
