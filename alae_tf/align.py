"""Crops faces from photos for training, and pastes edited faces back.

    python -m alae_tf.align photos/ --out=faces --size=128
    python -m alae_tf.align --paste_back=edited --csv=faces/align.csv --out=pasted

Each face becomes a PNG file in --out. The table align.csv in --out lists the photo of each crop,
its position in the photo, the rotation of the head, and how far the mouth is open and how wide it
is; `alae_tf.directions` accepts the table as --labels. --paste_back pastes edited crops, whose
names must be unchanged, into their photos.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import io
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from alae_tf.images import files as image_files
from alae_tf.images.alignment import CROPS
from alae_tf.images.faces import Face, FaceFinder, model_folder
from alae_tf.images.picture import png
from alae_tf.images.warp import crop, paste_back
from alae_tf.system.environment import start
from alae_tf.system.errors import AlaeError, guarded, is_utf8, program, report
from alae_tf.system.files import check_directory, member, write_atomic

CSV = "align.csv"
MEASURES = ("yaw", "pitch", "roll", "mouth", "smile")
COLUMNS = ("file", *MEASURES, "photo", "square", "points")
EVERY = 10.0  # seconds between two writes of the table
LONGEST = 1e6  # longest side of a square, in pixels
SIZES = tuple(2**k for k in range(2, 11))


class AlignError(AlaeError):
    """A photo, a crop or the table of crops is invalid."""


@dataclasses.dataclass(frozen=True)
class Cut:
    """A face cropped from a photo.

    Attributes:
        file: the crop's name, relative to the folder of the table.
        photo: path of the photo.
        quad: [4, 2], the corners in the photo; see `alae_tf.images.warp`.
        points: [5, 2]; see `Face.points`.
        measures: see `Face.measures`.
    """

    file: str
    photo: Path
    quad: np.ndarray
    points: np.ndarray
    measures: dict[str, float]

    def row(self, folder: Path) -> list[str]:
        """The cells of `COLUMNS`; the photo's path is relative to `folder`, that of the table."""
        measured = [f"{self.measures[name]:.4f}" for name in MEASURES]
        photo = os.path.relpath(self.photo, folder)
        return [self.file, *measured, photo, _to_text(self.quad), _to_text(self.points)]


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog=program("alae_tf.align"),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("photos", nargs="*", metavar="PHOTO", help="image files, and folders of them")
    add("--out", required=True, type=Path, metavar="DIR", help="output folder. Required")
    about = "side of a crop, in pixels: 4, 8, 16, … 1024. Default: %(default)s"
    add("--size", type=int, default=256, metavar="N", help=about)
    add(
        "--crop",
        default="ffhq",
        choices=sorted(CROPS),
        help="region to crop. ffhq: the whole head; celeba, lfw: tighter, as in these data sets. "
        "Default: %(default)s",
    )
    about = "crop at most N faces of a photo, the largest first. Default: all"
    add("--most", type=int, metavar="N", help=about)
    about = "folder of edited crops to paste back, with unchanged names. Default: none"
    add("--paste_back", type=Path, metavar="DIR", help=about)
    about = f"--paste_back: the {CSV} of the crops. Required with --paste_back"
    add("--csv", type=Path, metavar="FILE", help=about)
    about = "replace the files that an earlier run wrote into --out. Default: off"
    add("--overwrite", action="store_true", help=about)
    args = parser.parse_args(arguments)
    if args.size not in SIZES:
        parser.error(f"--size={args.size}: must be 4, 8, 16, … or 1024.")
    if args.most is not None and args.most < 1:
        parser.error(f"--most={args.most}: must be 1 or more.")
    if bool(args.paste_back) == bool(args.photos):
        parser.error("give either photos or --paste_back=DIR.")
    if bool(args.paste_back) != bool(args.csv):
        parser.error(f"--paste_back and --csv=DIR/{CSV} require each other.")
    return args


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 no face found or failed, 2 a wrong flag or file."""
    args = parse(arguments)
    if args.paste_back:
        return guarded(
            "align", lambda: put_back(args.paste_back, args.csv, args.out, args.overwrite)
        )
    return guarded(
        "align",
        lambda: cut_out(args.photos, args.out, args.size, args.crop, args.most, args.overwrite),
    )


def cut_out(
    given: list[str], out: Path, size: int, place: str, most: int | None, overwrite: bool
) -> int:
    """Crops the faces of photos and writes the table; returns the exit code."""
    photos = list({photo.resolve(): photo for photo in image_files.find(given)}.values())
    model_folder()  # raises if the detector is not installed
    table = out / CSV
    held = check_directory("--out", out, "an alignment", CSV)
    if held and not overwrite and read_table(table, "--out"):
        raise AlignError(f"--out={out}: has crops already; --overwrite replaces them.")
    crops = _crops(table) if held else set()
    photos = [photo for photo in photos if photo.parent.resolve() / photo.name not in crops]
    if not photos:
        raise AlignError(f"--out={out}: the photos are crops in this folder; give another folder.")
    names = _names(photos, [Path(path) for path in given])
    taken = {f"{name}.png" for name in names.values()}
    _check_crops(out, taken, crops)
    cuts: list[Cut] = []
    bare: list[Path] = []
    pending: list[tuple[Path, bytes]] = []

    def save() -> None:
        """Writes the table before the crops, because only listed crops can be replaced later."""
        write_atomic(table, _table(cuts, out))
        for path, data in pending:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, data)
        pending.clear()

    out.mkdir(parents=True, exist_ok=True)
    for path in crops:
        path.unlink(missing_ok=True)
    save()  # marks the directory as an alignment
    written = time.monotonic()
    try:
        for photo, found in _find_all(photos):
            if time.monotonic() - written > EVERY:
                save()
                written = time.monotonic()
            if isinstance(found, str):
                report("align", f"left out: {found}")
            elif not found[1]:
                bare.append(photo)
            else:
                pixels, faces = found
                files = _file_names(names[photo], len(faces[:most]), taken, out)
                for file, face in zip(files, faces, strict=False):
                    quad = CROPS[place].quad(face.points)
                    cuts.append(Cut(file, photo, quad, face.points, face.measures))
                    pending.append((out / file, png(crop(pixels, quad, size))))
    finally:
        cuts.sort(key=lambda cut: cut.file)
        save()
    for photo in bare:
        report("align", f"{photo}: no face found.")
    with_faces = len({cut.photo for cut in cuts})
    print(
        f"align: {len(cuts):,} faces in {with_faces:,} of {len(photos):,} photos, in {out}/; "
        f"{len(bare):,} without a face."
    )
    return 0 if cuts else 1


def _find_all(
    photos: list[Path],
) -> Iterator[tuple[Path, tuple[np.ndarray, list[Face]] | str]]:
    """Each photo with its pixels and faces, or with an error message."""
    local = threading.local()

    def find(photo: Path) -> tuple[np.ndarray, list[Face]] | str:
        if not is_utf8(str(photo)):
            return f"{photo}: its name is not UTF-8, which the table requires; rename it."
        if not hasattr(local, "finder"):
            local.finder = FaceFinder()
        try:
            pixels = image_files.open_file(photo, 3)
        except image_files.ImageError as error:
            return str(error)
        return pixels, local.finder(pixels)

    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool, tqdm(total=len(photos), unit="photo") as bar:
        # A few at a time, because photos are large.
        for start in range(0, len(photos), 4 * workers):
            some = photos[start : start + 4 * workers]
            for photo, found in zip(some, pool.map(find, some), strict=True):
                bar.update()
                yield photo, found


def _check_crops(out: Path, names: Iterable[str], crops: set[Path]) -> None:
    """Checks the places of new crops.

    Args:
        out: the folder.
        names: the crops' names, relative to it.
        crops: paths of an earlier run's crops, which may be replaced.

    Raises:
        AlignError: a subfolder leads out of the folder, or a crop would replace another file.
    """
    for name in names:
        path = _member(out, name, f"--out={out}", follow=False)
        if os.path.lexists(path) and path.parent.resolve() / path.name not in crops:
            raise AlignError(
                f"--out={out}: {name} is not a crop listed in {CSV}; give another folder."
            )


def _file_names(name: str, count: int, taken: set[str], out: Path) -> Iterator[str]:
    """File names for the crops of one photo; adds them to `taken`, which no other crop may have."""
    for number in range(1, count + 1):
        file = f"{name}.png" if number == 1 else f"{name}-{number}.png"
        while number > 1 and (file in taken or os.path.lexists(out / file)):
            file = f"{file.removesuffix('.png')}-{number}.png"
        taken.add(file)
        yield file


def _names(photos: Iterable[Path], roots: list[Path]) -> dict[Path, str]:
    """A unique name for each photo's crops, without suffix; keeps the subfolders of the roots.

    For example a.jpg and a.png give the names "a" and "a.png".
    """
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for photo in photos:
        root = next((root for root in roots if root in photo.parents), photo.parent)
        inside = photo.relative_to(root)
        name, number = str(inside.with_suffix("")), 1
        if name in taken:
            name = str(inside)
        while name in taken:
            number += 1
            name = f"{inside}.{number}"
        taken.add(name)
        names[photo] = name
    return names


def _table(cuts: list[Cut], folder: Path) -> bytes:
    """The content of the CSV file."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(cut.row(folder) for cut in cuts)
    return text.getvalue().encode()


def _crops(table: Path) -> set[Path]:
    """Paths of an earlier run's crops, in the table's folder; links are not followed.

    Raises:
        AlignError: the table names a file outside the folder.
    """
    folder, flag = table.parent, f"--out={table}"
    cuts = (cut for cut in read_table(table, "--out") if cut.file.endswith(".png"))
    paths = [_member(folder, cut.file, flag, follow=False) for cut in cuts]
    return {path.parent.resolve() / path.name for path in paths}


def _member(folder: Path, name: str, flag: str, follow: bool = True) -> Path:
    """`alae_tf.system.files.member` with an error that names a flag."""
    try:
        return member(folder, name, follow)
    except ValueError as error:
        raise AlignError(f"{flag}: {error}; nothing was written.") from None


def put_back(edited: Path, table: Path, out: Path, overwrite: bool) -> int:
    """Pastes edited crops into copies of their photos; returns the exit code."""
    rows = read_table(table)
    by_photo: dict[Path, list[tuple[Path, np.ndarray]]] = {}
    for cut in rows:
        file = _member(edited, cut.file, f"--csv={table}")
        if file.is_file():
            by_photo.setdefault(cut.photo, []).append((file, cut.quad))
    if not by_photo:
        raise AlignError(f"--paste_back={edited}: has none of the {len(rows):,} files of {table}.")
    lost = [photo for photo in by_photo if not photo.is_file()]
    if lost:
        raise AlignError(f"--csv={table}: its photo {lost[0]} does not exist.")
    targets = {photo: out / f"{name}.png" for photo, name in _names(by_photo, []).items()}
    folders = (edited, table.parent)
    read = [cut.photo for cut in rows] + [folder / cut.file for folder in folders for cut in rows]
    kept = set(map(os.path.realpath, [table, *read]))
    for target in targets.values():
        if os.path.realpath(target) in kept:
            raise AlignError(f"--out={out}: {target.name} is a photo or crop; give another folder.")
        if target.is_dir():
            raise AlignError(f"--out={out}: {target.name} is a directory; give another folder.")
        if target.exists() and not overwrite:
            raise AlignError(f"--out={out}: {target.name} exists; --overwrite replaces it.")
    for photo, crops in by_photo.items():  # checks all before any is written
        image_files.open_file(photo, 3)
        for file, _ in crops:
            height, width, _ = image_files.open_file(file, 3).shape
            if height != width:
                raise AlignError(f"{file}: has {width} x {height} pixels; crops are square.")
    out.mkdir(parents=True, exist_ok=True)
    for photo, crops in tqdm(by_photo.items(), unit="photo"):
        pixels = image_files.open_file(photo, 3)
        for file, quad in crops:
            pixels = paste_back(pixels, quad, image_files.open_file(file, 3))
        write_atomic(targets[photo], png(pixels))
    count = sum(map(len, by_photo.values()))
    print(f"align: {count:,} faces pasted into {len(by_photo):,} photos, in {out}/.")
    return 0


def read_table(path: Path, flag: str = "--csv") -> list[Cut]:
    """The crops that an `align.csv` lists.

    Args:
        path: the file.
        flag: the flag that names it, for error messages.

    Raises:
        AlignError: it cannot be read or is not such a table.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return [
            Cut(
                row["file"],
                path.parent / _relative(row["photo"]),
                _square(row["square"]),
                _from_text(row["points"], 5),
                {name: float(row[name]) for name in MEASURES},
            )
            for row in rows
        ]
    except OSError as error:
        raise AlignError(f"{flag}={path}: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise AlignError(f"{flag}={path}: not a table of alae_tf.align ({error}).") from None


def _to_text(points: np.ndarray) -> str:
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in points)


def _relative(path: str) -> str:
    if os.path.isabs(path) or "\0" in path:
        raise ValueError(f"photo: got {path!r}, expected a relative path")
    return path


def _square(text: str) -> np.ndarray:
    """Parses the corners [4, 2] of a square with sides of 1 to `LONGEST` pixels."""
    quad = _from_text(text, 4)
    down, across = quad[1] - quad[0], quad[3] - quad[0]
    turned = np.array([-across[1], across[0]])  # equals `down`, up to the table's rounding
    side = np.hypot(*across)
    if not 1 <= side <= LONGEST or np.hypot(*(turned - down)) > side / 2:
        raise ValueError(f"square: got {text!r}, expected the corners of a square")
    return quad


def _from_text(text: str, count: int) -> np.ndarray:
    points = np.array([[float(number) for number in pair.split(",")] for pair in text.split()])
    if points.shape != (count, 2) or not np.isfinite(points).all():
        raise ValueError(f"got {text!r}, expected {count} points")
    return points


if __name__ == "__main__":
    sys.exit(start(main))
