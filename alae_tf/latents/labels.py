"""Labels of images: for each label, a column of numbers."""

import csv
import io
import math
import mimetypes
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from alae_tf.data import Source
from alae_tf.data.folder import FolderSource
from alae_tf.latents import LatentError
from alae_tf.system.errors import printable, report

LARGEST_FILE = 2**28  # bytes of a table
LARGEST = 1e30  # of a value; the squares of larger ones overflow
NAMES_SHOWN, LONGEST_SHOWN = 3, 60  # names in a message, characters of each
COLUMNS_SHOWN = 30
MOST_CLASSES = 20  # of a column of texts


def of(source: Source, labels: str) -> dict[str, np.ndarray]:
    """The columns that --labels names: name → float64 [len(source)], NaN where unknown.

    `labels` is "classes", a column for each class of the source; "folders", a column for each top
    folder; "attribute:NAME,…", attributes of a TFDS set; or a table, see `read_csv`. Raises
    LatentError or DataError if the source does not have them, or the file cannot be read.
    """
    if labels == "classes":
        if source.labels is None:
            raise LatentError(f"--labels=classes: {source.uri} has no classes.")
        return columns(source.class_names, np.asarray(source.labels))
    if labels.startswith("attribute:"):
        from alae_tf.data.tfds_source import TfdsSource

        if not isinstance(source, TfdsSource):
            raise LatentError(f"--labels={labels}: {source.uri} is not a TFDS set.")
        names = labels.removeprefix("attribute:").split(",")
        return {name.rpartition("/")[2]: source.values(name) for name in names}
    if not isinstance(source, FolderSource):
        raise LatentError(f"--labels={labels}: needs --data=folder:DIR, not {source.uri}.")
    if labels == "folders":
        return columns(*source.classes())
    return read_csv(Path(os.path.expanduser(labels)), source.files)


def columns(names: Sequence[str] | None, classes: np.ndarray) -> dict[str, np.ndarray]:
    """A column for each class: 1 for its images, 0 for others.

    `classes` are the classes of the images [n], `names` their names, by default their numbers.
    """
    kinds = np.unique(classes)
    return {str(names[int(k)]) if names else str(k): (classes == k).astype(float) for k in kinds}


def sides(column: np.ndarray) -> np.ndarray | None:
    """A column [n] of two values: 1 at the higher one, −1 at the lower one, 0 where unknown, int8
    [n]; None if it has more or fewer values."""
    values = np.unique(column[np.isfinite(column)])
    if len(values) != 2:
        return None
    return (column == values[1]).astype(np.int8) - (column == values[0])


def read_csv(path: Path, images: Sequence[str]) -> dict[str, np.ndarray]:
    """The columns of a table with a header: name → float64 [len(images)], NaN where unknown.

    A column of texts becomes a column for each of its values, named COLUMN=VALUE: 1 for its images,
    0 for others. Reported on stderr: columns that hold neither numbers nor classes, by name and
    with the reason, ignored texts in columns of numbers, rows without an image, and images without
    a row.

    Args:
        path: a CSV file with commas, tabs or semicolons (the last two allow decimal commas), or a
            table with blanks such as CelebA's list_attr_celeba.txt. The first column names images
            as `images` does; folder and extension may be omitted if the name remains unique.
        images: paths relative to the images' folder.

    Raises:
        LatentError: the file is not a table, or none of its rows names an image.
    """
    where = f"--labels={path}"
    try:
        header, *rows = _read_rows(path)
    except OSError as error:
        raise LatentError(
            f"{where}: {error.strerror}; expected classes, folders, attribute:NAME or a CSV file."
        ) from None
    except (csv.Error, ValueError) as error:
        raise LatentError(f"{where}: not a CSV file ({printable(str(error))}).") from None
    if len(header) < 2 or len(set(header)) < len(header) or not rows:
        raise LatentError(
            f"{where}: expected a header with different names, the first one for image files, "
            "and a row for each image."
        )
    places = _places(images)
    if header[0] in places and os.path.splitext(header[0])[1]:
        raise LatentError(f"{where}: its first row names an image; expected a header before it.")
    cells = np.full([len(images), len(header) - 1], "", object)
    missing, named = [], set()
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise LatentError(
                f"{where}, row {number}: {len(row)} cells, but the header has {len(header)}."
            )
        place = places.get(row[0], places.get(_stem(row[0])))
        if place is None:
            missing.append(row[0])
        else:
            cells[place] = row[1:]
            named.add(place)
    if not named:
        raise LatentError(f"{where}: none of its rows names exactly one image: {_few(missing)}.")
    found, texts, left_out = {}, [], {}
    for name, column in zip(header[1:], cells.T, strict=True):
        numbers = np.array([_number(cell) for cell in column])
        filled = column != ""
        if 2 * np.isfinite(numbers).sum() >= max(1, filled.sum()):
            found[name] = numbers
            texts += list(column[filled & np.isnan(numbers)])
        elif why := _no_classes(column[filled]):
            left_out.setdefault(why, []).append(name)
        else:
            for each in sorted(set(column[filled])):
                found[f"{name}={each}"] = np.where(filled, column == each, np.nan)
    for names, what in (
        (missing, "rows whose name fits no image, or several"),
        ([name for i, name in enumerate(images) if i not in named], "images without a row"),
        (texts, "ignored texts in columns of numbers"),
    ):
        if names:
            report("directions", f"{where}: {what}: {len(names):,} ({_few(names)}).")
    for why, names in left_out.items():
        report("directions", f"{where}: columns left out ({why}): {_few(names, COLUMNS_SHOWN)}.")
    if not found:
        raise LatentError(f"{where}: no column holds numbers or classes.")
    return found


def _read_rows(path: Path) -> list[list[str]]:
    if path.exists() and not path.is_file():
        raise ValueError("not a regular file")
    if path.stat().st_size > LARGEST_FILE:
        raise ValueError(f"larger than {LARGEST_FILE:,} bytes")
    text = path.read_text(encoding="utf-8-sig").lstrip()
    first, _, rest = text.partition("\n")
    if first.strip().isdecimal():  # CelebA's tables begin with the number of rows
        text, first = rest, rest.partition("\n")[0]
    mark = max(",;\t", key=first.count)
    if mark in first:
        table = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
        rows = [[cell.strip() for cell in row] for row in table if row]
    else:
        rows = [line.split() for line in text.split("\n") if line.strip()]
    if not rows:
        raise ValueError("it is empty")
    if len(rows) > 1 and len(rows[1]) == len(rows[0]) + 1:  # as CelebA and R write tables
        rows[0].insert(0, "")
    return rows


def _no_classes(texts: np.ndarray) -> str:
    """The reason why the texts of a column are not classes; "" if they are."""
    classes = set(texts)
    if not classes:
        return "empty"
    if any((mimetypes.guess_type(each)[0] or "").startswith("image/") for each in classes):
        return "names of image files"
    if len(classes) == 1:
        return "all texts are equal"
    if len(classes) > MOST_CLASSES:
        return f"more than {MOST_CLASSES} different texts"
    return "each text occurs once" if len(classes) == len(texts) else ""


def _places(images: Sequence[str]) -> dict[str, int]:
    """Indices of images by path, and by the path without folder, extension or both if that is
    unique."""
    places = {name: i for i, name in enumerate(images)}
    for short in (os.path.basename, _stem, lambda name: os.path.basename(_stem(name))):
        alike = Counter(map(short, images))
        for i, name in enumerate(images):
            if alike[short(name)] == 1:
                places.setdefault(short(name), i)
    return places


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]


def _few(names: Sequence[str], most: int = NAMES_SHOWN) -> str:
    shown = ", ".join(printable(name[:LONGEST_SHOWN]) for name in names[:most])
    return f"{shown} …" if len(names) > most else shown


def _number(text: str) -> float:
    """A cell, with decimal point or comma; NaN if it is empty, not a number, or too large."""
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return math.nan
    return value if abs(value) < LARGEST else math.nan
