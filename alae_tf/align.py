"""Cuts the faces out of photographs as a model wants them, and puts edited ones back.

    python -m alae_tf.align photos/ --out=faces --size=128
    python -m alae_tf.align --paste_back=edited --csv=faces/align.csv --out=pasted

Each face becomes a PNG file in --out; align.csv there says for each which photo it is of and where,
how the head is turned, how far the mouth is open and how wide it smiles. `alae_tf.directions` takes
it as --labels. --paste_back puts files of the same names back into their photos.
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
from alae_tf.images.alignment import CROPS, Crop
from alae_tf.images.faces import Face, FaceFinder, model_folder
from alae_tf.images.picture import png
from alae_tf.images.warp import crop, paste_back
from alae_tf.system.environment import start
from alae_tf.system.errors import AlaeError, guarded, is_utf8, printable, program
from alae_tf.system.files import check_directory, member, write_atomic

CSV = "align.csv"
MEASURES = ("yaw", "pitch", "roll", "mouth", "smile")
COLUMNS = ("file", *MEASURES, "photo", "square", "points")
EVERY = 10.0  # seconds after which the table is written again
LONGEST = 1e6  # pixels of a square's side
SIZES = tuple(2**k for k in range(2, 11))


class AlignError(AlaeError):
    """A photograph, a crop or the table of crops is not as it should be."""


@dataclasses.dataclass(frozen=True)
class Cut:
    """A face that was cut out of a photograph.

    Attributes:
        file: its name in --out.
        photo: that it is of.
        quad: the square there, as in `alae_tf.images.warp`.
        points: [5, 2], as of `Face.points`.
        measures: of `Face.measures`.
    """

    file: str
    photo: Path
    quad: np.ndarray
    points: np.ndarray
    measures: dict[str, float]

    def row(self, folder: Path) -> list[str]:
        """The cells of `COLUMNS`; the photo is named from `folder`, that of the table."""
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
    add("photos", nargs="*", help="image files, and folders of them")
    add("--out", required=True, type=Path, metavar="DIR", help="where the pictures go")
    add("--size", type=int, default=256, help="pixels of a crop: 4, 8, … 1024. Default: 256")
    add(
        "--crop",
        default="ffhq",
        choices=sorted(CROPS),
        help="ffhq: the whole head; celeba: tighter. Default: ffhq",
    )
    add("--most", type=int, metavar="N", help="faces a photo, the largest first. Default: all")
    add("--paste_back", metavar="DIR", help="edited crops, under the names that they had")
    add("--csv", type=Path, help=f"--paste_back: the {CSV} of the crops")
    add("--overwrite", action="store_true", help="write over what an earlier run left in --out")
    args = parser.parse_args(arguments)
    if args.size not in SIZES:
        parser.error(f"--size={args.size}: must be 4, 8, 16, … or 1024.")
    if args.most is not None and args.most < 1:
        parser.error(f"--most={args.most}: must be 1 or more.")
    if bool(args.paste_back) == bool(args.photos):
        parser.error("give photos, or --paste_back=DIR.")
    if bool(args.paste_back) != bool(args.csv):
        parser.error(f"--paste_back and --csv go together: --csv=DIR/{CSV}.")
    return args


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 no face at all or failed on the way, 2 a wrong flag or file."""
    args = parse(arguments)
    return guarded("align", lambda: put_back(args) if args.paste_back else cut_out(args))


def cut_out(args: argparse.Namespace) -> int:
    """Photos to crops and their table."""
    photos = list({photo.resolve(): photo for photo in image_files.find(args.photos)}.values())
    model_folder()  # installed?
    held = check_directory("--out", args.out, "an alignment", CSV)
    if held and not args.overwrite and read_table(args.out / CSV, "--out"):
        raise AlignError(f"--out={args.out}: holds crops already; --overwrite replaces them.")
    crops = _crops(args.out / CSV) if held else set()
    photos = [photo for photo in photos if photo.parent.resolve() / photo.name not in crops]
    if not photos:
        raise AlignError(f"--out={args.out}: holds these very files; give another folder.")
    roots = [Path(path) for path in args.photos]
    names = _names(photos, roots)
    taken = {f"{name}.png" for name in names.values()}
    _check_crops(args.out, taken, crops)
    cuts: list[Cut] = []
    bare: list[Path] = []
    pending: list[tuple[Path, bytes]] = []
    table = args.out / CSV

    def save() -> None:
        """The table first: a crop that no table lists would never be replaced."""
        write_atomic(table, _table(cuts, args.out))
        for path, data in pending:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, data)
        pending.clear()

    args.out.mkdir(parents=True, exist_ok=True)
    for path in crops:  # which would be taken for this run's
        path.unlink(missing_ok=True)
    save()  # marks the directory as one of crops
    written = time.monotonic()
    try:
        for photo, found in _find_all(photos):
            if time.monotonic() - written > EVERY:
                save()
                written = time.monotonic()
            if isinstance(found, str):
                print(printable(f"align: passed over: {found}"), file=sys.stderr)
            elif not found[1]:
                bare.append(photo)
            else:
                pixels, faces = found
                for cut in _cuts(photo, faces[: args.most], names[photo], taken, args):
                    cuts.append(cut)
                    data = png(crop(pixels, cut.quad, args.size))
                    pending.append((args.out / cut.file, data))
    finally:
        cuts.sort(key=lambda cut: cut.file)
        save()
    for photo in bare:
        print(printable(f"align: {photo}: no face found."), file=sys.stderr)
    with_faces = len({cut.photo for cut in cuts})
    print(
        f"align: {len(cuts):,} faces in {with_faces:,} of {len(photos):,} photos, in {args.out}/; "
        f"{len(bare):,} without a face."
    )
    return 0 if cuts else 1


def _find_all(
    photos: list[Path],
) -> Iterator[tuple[Path, tuple[np.ndarray, list[Face]] | str]]:
    """Each photo with its pixels and faces, or with what is wrong with it."""
    local = threading.local()

    def find(photo: Path) -> tuple[np.ndarray, list[Face]] | str:
        if not is_utf8(str(photo)):
            return f"{photo}: its name is not UTF-8, as the table must be; rename it."
        if not hasattr(local, "finder"):
            local.finder = FaceFinder()
        try:
            pixels = image_files.open_file(photo, 3)
        except image_files.ImageError as error:
            return str(error)
        return pixels, local.finder(pixels)

    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool, tqdm(total=len(photos), unit="photo") as bar:
        # A few at a time: photos are large.
        for start in range(0, len(photos), 4 * workers):
            some = photos[start : start + 4 * workers]
            for photo, found in zip(some, pool.map(find, some), strict=True):
                bar.update()
                yield photo, found


def _check_crops(out: Path, names: Iterable[str], crops: set[Path]) -> None:
    """Checks where crops go.

    Args:
        out: the folder.
        names: of the crops to be, relative to it.
        crops: those of an earlier run, which may be replaced.

    Raises:
        AlignError: a subfolder leads out of the folder, or a file that is no crop has the name of
            one.
    """
    for name in names:
        path = _member(out, name, f"--out={out}", follow=False)
        if os.path.lexists(path) and path.parent.resolve() / path.name not in crops:
            raise AlignError(f"--out={out}: {name} is no crop of {CSV}; give another folder.")


def _cuts(
    photo: Path, faces: list[Face], name: str, taken: set[str], args: argparse.Namespace
) -> Iterator[Cut]:
    """The crops of one photo; `taken` are names of other photos' crops, of any face."""
    place: Crop = CROPS[args.crop]
    for number, face in enumerate(faces, start=1):
        file = f"{name}.png" if number == 1 else f"{name}-{number}.png"
        while number > 1 and (file in taken or os.path.lexists(args.out / file)):
            file = f"{file.removesuffix('.png')}-{number}.png"
        taken.add(file)
        yield Cut(file, photo, place.quad(face.points), face.points, face.measures)


def _names(photos: Iterable[Path], roots: list[Path]) -> dict[Path, str]:
    """Names of crops without their ending, of folders' photos with their subfolders; no two alike.

    Photos a.jpg and a.png become a and a.png.
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
    """The CSV file."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(cut.row(folder) for cut in cuts)
    return text.getvalue().encode()


def _crops(table: Path) -> set[Path]:
    """The crops of an earlier run, in the table's folder; links among them are not followed.

    Raises:
        AlignError: the table names a file outside.
    """
    folder, flag = table.parent, f"--out={table}"
    cuts = (cut for cut in read_table(table, "--out") if cut.file.endswith(".png"))
    paths = [_member(folder, cut.file, flag, follow=False) for cut in cuts]
    return {path.parent.resolve() / path.name for path in paths}


def _member(folder: Path, name: str, flag: str, follow: bool = True) -> Path:
    """`alae_tf.system.files.member`, whose error names a flag."""
    try:
        return member(folder, name, follow)
    except ValueError as error:
        raise AlignError(f"{flag}: {error}; nothing was written.") from None


def put_back(args: argparse.Namespace) -> int:
    """Edited crops into their photos."""
    edited = Path(args.paste_back)
    rows = read_table(args.csv)
    by_photo: dict[Path, list[tuple[Path, np.ndarray]]] = {}
    for cut in rows:
        file = _member(edited, cut.file, f"--csv={args.csv}")
        if file.is_file():
            by_photo.setdefault(cut.photo, []).append((file, cut.quad))
    if not by_photo:
        raise AlignError(
            f"--paste_back={edited}: has none of the {len(rows):,} files of {args.csv}."
        )
    lost = [photo for photo in by_photo if not photo.is_file()]
    if lost:
        raise AlignError(f"{lost[0]}: no such photo, which {args.csv} names.")
    targets = {photo: args.out / f"{name}.png" for photo, name in _names(by_photo, []).items()}
    folders = (edited, args.csv.parent)
    read = [cut.photo for cut in rows] + [folder / cut.file for folder in folders for cut in rows]
    kept = set(map(os.path.realpath, [args.csv, *read]))
    for target in targets.values():
        if os.path.realpath(target) in kept:
            raise AlignError(
                f"{target}: is one of the photos themselves, or a crop; give another --out."
            )
        if target.is_dir():
            raise AlignError(f"{target}: is a directory; give another --out.")
        if target.exists() and not args.overwrite:
            raise AlignError(f"{target}: is there already; --overwrite replaces it.")
    for photo, crops in by_photo.items():  # before any is written
        image_files.open_file(photo, 3)
        for file, _ in crops:
            height, width, _ = image_files.open_file(file, 3).shape
            if height != width:
                raise AlignError(f"{file}: has {width} x {height} pixels; crops are square.")
    args.out.mkdir(parents=True, exist_ok=True)
    for photo, crops in tqdm(by_photo.items(), unit="photo"):
        pixels = image_files.open_file(photo, 3)
        for file, quad in crops:
            pixels = paste_back(pixels, quad, image_files.open_file(file, 3))
        write_atomic(targets[photo], png(pixels))
    count = sum(map(len, by_photo.values()))
    print(f"align: {count:,} faces put back into {len(by_photo):,} photos, in {args.out}/.")
    return 0


def read_table(path: Path, flag: str = "--csv") -> list[Cut]:
    """The crops that an `align.csv` lists.

    Args:
        path: the file.
        flag: that named it, for the message.

    Raises:
        AlignError: it is no such file, a photo's path is absolute, or a square is none.
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
        raise AlignError(f"{flag}={path}: no table of alae_tf.align ({error}).") from None


def _to_text(points: np.ndarray) -> str:
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in points)


def _relative(path: str) -> str:
    if os.path.isabs(path) or "\0" in path:
        raise ValueError(f"a path relative to the table expected, got {path!r}")
    return path


def _square(text: str) -> np.ndarray:
    """The corners of a square, whose sides are a pixel or longer."""
    quad = _from_text(text, 4)
    down, across = quad[1] - quad[0], quad[3] - quad[0]
    turned = np.array([-across[1], across[0]])  # is `down`, but for the table's rounding
    side = np.hypot(*across)
    if not 1 <= side <= LONGEST or np.hypot(*(turned - down)) > side / 2:
        raise ValueError(f"the corners of a square expected, got {text!r}")
    return quad


def _from_text(text: str, count: int) -> np.ndarray:
    points = np.array([[float(number) for number in pair.split(",")] for pair in text.split()])
    if points.shape != (count, 2) or not np.isfinite(points).all():
        raise ValueError(f"{count} points expected, got {text!r}")
    return points


if __name__ == "__main__":
    sys.exit(start(main))
