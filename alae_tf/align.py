"""Crops faces from photos for training, and pastes edited faces back.

    python -m alae_tf.align photos/ --out=faces --size=128
    python -m alae_tf.align --paste_back=edited --csv=faces/align.csv --out=pasted

Each face becomes a PNG file in --out. The table align.csv in --out lists the photo of each crop,
its position in the photo, the rotation of the head, and how far the mouth is open and how wide it
is; `alae_tf.directions` accepts the table as --labels. --paste_back pastes edited crops, whose
names must be unchanged, into their photos.
"""

import csv
import dataclasses
import io
import itertools
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
from alae_tf.system.arguments import Arguments, between, local, side
from alae_tf.system.environment import command, start
from alae_tf.system.errors import AlaeError, is_utf8, report
from alae_tf.system.files import check_directory, contains, member, png_mark, write_atomic

CSV = "align.csv"
SOFTWARE = "alae_tf align"  # in the PNG files that this command writes; others are never replaced
MEASURES = ("yaw", "pitch", "roll", "mouth", "smile")
COLUMNS = ("file", *MEASURES, "photo", "square", "points")
EVERY = 10.0  # seconds between two writes of the table
LONGEST = 1e6  # longest side of a square, in pixels


class AlignError(AlaeError):
    """A photo, a crop or the table of crops is invalid."""


@dataclasses.dataclass(frozen=True)
class Cut:
    """A face cropped from a photo."""

    file: str  # the crop's name, relative to the folder of the table
    photo: Path
    quad: np.ndarray  # [4, 2], the corners in the photo; see `alae_tf.images.warp`
    points: np.ndarray  # [5, 2]; see `Face.points`
    measures: dict[str, float]  # see `Face.measures`


@command("align")
def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 no face found or failed, 2 a wrong flag or file."""
    parser = Arguments("alae_tf.align", __doc__)
    about = "image files, and folders of them"
    parser.add_argument("photos", nargs="*", metavar="PHOTO", help=about)
    parser.flag("--out", "output folder", "DIR", type=local, required=True)
    about = "side of a crop, in pixels: 4, 8, 16, … 1024"
    parser.flag("--size", about, "N", type=side, default=256)
    about = "region to crop. ffhq: the whole head; celeba, lfw: tighter, as in these data sets"
    parser.flag("--crop", about, choices=tuple(CROPS), default="ffhq")
    about = "crop at most N faces of a photo, the largest first"
    parser.flag("--most", about, "N", type=between(1, 10**6), absent="all")
    about = "folder of edited crops to paste back, with unchanged names"
    parser.flag("--paste_back", about, "DIR", type=local)
    about = f"--paste_back: the {CSV} of the crops"
    parser.flag("--csv", about, "FILE", type=local, absent="none; required with --paste_back")
    about = "--paste_back: folder of the crops as the model draws them without the edit, same names"
    parser.flag("--unedited", about, "DIR", type=local)
    about = (
        "--paste_back: difference adds only what the edit changed, and leaves the rest of the "
        "photo as it is (needs --unedited); whole replaces the square"
    )
    choices, absent = ("difference", "whole"), "difference with --unedited, else whole"
    parser.flag("--paste", about, choices=choices, absent=absent)
    parser.switch("--overwrite", "replace the files that an earlier run wrote into --out")
    args = parser.parse_args(arguments)
    if bool(args.paste_back) == bool(args.photos):
        parser.error("give either photos or --paste_back=DIR.")
    if bool(args.paste_back) != bool(args.csv):
        parser.error(f"--paste_back and --csv=DIR/{CSV} require each other.")
    if (args.unedited or args.paste) and not args.paste_back:
        parser.error("--unedited and --paste require --paste_back.")
    if args.unedited and args.paste == "whole":
        parser.error("--paste=whole: replaces the square; omit --unedited.")
    if args.paste == "difference" and not args.unedited:
        parser.error("--paste=difference: needs --unedited=DIR, the crops without the edit.")
    if args.paste_back:
        return put_back(args.paste_back, args.unedited, args.csv, args.out, args.overwrite)
    return cut_out(args.photos, args.out, args.size, args.crop, args.most, args.overwrite)


def cut_out(
    given: list[str], out: Path, size: int, place: str, most: int | None, overwrite: bool
) -> int:
    """Crops the faces of photos and writes the table; returns the exit code."""
    photos = list({photo.resolve(): photo for photo in image_files.find(given)}.values())
    model_folder()  # raises if the detector is not installed
    table = out / CSV
    held = check_directory("--out", out, "alignment", CSV)
    before = read_table(table, "--out") if held else []
    if before and not overwrite:
        raise AlignError(f"--out={out}: has crops already; --overwrite replaces them.")
    files = [cut.file for cut in before if cut.file.endswith(".png")]
    crops = {_place(_member(out, file, f"--out={table}", follow=False)) for file in files}
    ours = {path for path in crops if is_ours(path)}
    photos = [photo for photo in photos if _place(photo) not in crops]
    if not photos:
        raise AlignError(f"--out={out}: the photos are crops in this folder; give another folder.")
    names = _names(photos, [Path(path) for path in given])
    taken = {f"{name}.png" for name in names.values()}
    for name in taken:
        path = _member(out, name, f"--out={out}", follow=False)
        if os.path.lexists(path) and _place(path) not in ours:
            why = f"is not a crop listed in {CSV}, or was edited; move it away."
            raise AlignError(f"--out={out}: {name} {why}")
    cuts: list[Cut] = []
    bare = 0
    pending: dict[Path, bytes] = {}

    def save() -> None:
        """Writes the table before the crops, because only listed crops can be replaced later."""
        cuts.sort(key=lambda cut: cut.file)
        write_table(table, cuts)
        for path, data in list(pending.items()):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, data)
            del pending[path]

    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(crops):
        if path in ours:
            path.unlink(missing_ok=True)
        elif os.path.lexists(path):
            report("align", f"{path}: was edited, or is not a crop; it is kept.")
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
                report("align", f"{photo}: no face found.")
                bare += 1
            else:
                pixels, faces = found
                files = _file_names(names[photo], len(faces[:most]), taken, out)
                for file, face in zip(files, faces, strict=False):
                    quad = CROPS[place].quad(face.points)
                    cuts.append(Cut(file, photo, quad, face.points, face.measures))
                    pending[out / file] = png(crop(pixels, quad, size), SOFTWARE)
    finally:
        save()
    with_faces = len({cut.photo for cut in cuts})
    found = f"{len(cuts):,} faces in {with_faces:,} of {len(photos):,} photos, in {out}/"
    print(f"align: {found}; {bare:,} without a face.")
    return 0 if cuts else 1


Found = tuple[np.ndarray, list[Face]] | str  # pixels and faces, or an error message


def _find_all(photos: list[Path]) -> Iterator[tuple[Path, Found]]:
    """Each photo with what was found in it."""
    local = threading.local()

    def find(photo: Path) -> Found:
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


def _file_names(name: str, count: int, taken: set[str], out: Path) -> Iterator[str]:
    """Names of the crops of one photo, which differ from existing files and those in `taken`."""
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
        more = (f"{inside}.{number}" for number in itertools.count(2))
        choices = itertools.chain([str(inside.with_suffix("")), str(inside)], more)
        names[photo] = next(name for name in choices if name not in taken)
        taken.add(names[photo])
    return names


def write_table(path: Path, cuts: list[Cut]) -> None:
    """Writes the CSV file; the paths of photos are relative to its folder."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for cut in cuts:
        measured = [f"{cut.measures[name]:.4f}" for name in MEASURES]
        photo = os.path.relpath(cut.photo, path.parent)
        places = [" ".join(f"{x:.2f},{y:.2f}" for x, y in each) for each in (cut.quad, cut.points)]
        writer.writerow([cut.file, *measured, photo, *places])
    write_atomic(path, text.getvalue().encode())


def is_ours(path: Path) -> bool:
    """Whether a file has the mark of this command, which edited pictures have mostly lost."""
    return contains(path, png_mark(SOFTWARE))


def _place(path: Path) -> Path:
    """The path with links resolved, except for a link at the path itself."""
    return path.parent.resolve() / path.name


def _member(folder: Path, name: str, flag: str, follow: bool = True) -> Path:
    """`alae_tf.system.files.member` with an error that names a flag."""
    try:
        return member(folder, name, follow)
    except ValueError as error:
        raise AlignError(f"{flag}: {error}; nothing was written.") from None


def put_back(edited: Path, unedited: Path | None, table: Path, out: Path, overwrite: bool) -> int:
    """Pastes edited crops (with `unedited`, only what the edit changed) into copies of their
    photos; returns the exit code."""
    rows = read_table(table)
    by_photo: dict[Path, list[tuple[np.ndarray, list[Path]]]] = {}
    for cut in rows:  # each with its edited file, and the unedited one
        folders = (edited, unedited) if unedited else (edited,)
        files = [_member(folder, cut.file, f"--csv={table}") for folder in folders]
        if files[0].is_file():
            by_photo.setdefault(cut.photo, []).append((cut.quad, files))
    if not by_photo:
        raise AlignError(f"--paste_back={edited}: has none of the {len(rows):,} files of {table}.")
    lost = [photo for photo in by_photo if not photo.is_file()]
    if lost:
        raise AlignError(f"--csv={table}: its photo {lost[0]} does not exist.")
    targets = {photo: out / f"{name}.png" for photo, name in _names(by_photo, []).items()}
    folders = [folder for folder in (edited, table.parent, unedited) if folder]
    read = [cut.photo for cut in rows] + [folder / cut.file for folder in folders for cut in rows]
    kept = set(map(os.path.realpath, [table, *read]))
    for target in targets.values():
        if os.path.realpath(target) in kept:
            raise AlignError(f"--out={out}: {target.name} is a photo or crop; give another folder.")
        if target.is_dir():
            raise AlignError(f"--out={out}: {target.name} is a directory; give another folder.")
        if os.path.lexists(target) and not is_ours(target):
            why = "was not written by this command; move it away"
            raise AlignError(f"--out={out}: {target.name} {why}, or give another folder.")
        if target.exists() and not overwrite:
            raise AlignError(f"--out={out}: {target.name} exists; --overwrite replaces it.")
    for photo, crops in by_photo.items():  # checks all before any is written
        image_files.open_file(photo, 3)
        for _, (file, *before) in crops:
            height, width, _ = image_files.open_file(file, 3).shape
            if height != width:
                raise AlignError(f"{file}: has {width} x {height} pixels; crops are square.")
            for other in before:
                if not other.is_file():
                    raise AlignError(f"--unedited={unedited}: has no {other.name} for {file}.")
                if image_files.open_file(other, 3).shape[:2] != (height, width):
                    raise AlignError(f"{other}: differs in size from {file}.")
    out.mkdir(parents=True, exist_ok=True)
    for photo, crops in tqdm(by_photo.items(), unit="photo"):
        pixels = image_files.open_file(photo, 3)
        for quad, files in crops:
            pixels = paste_back(pixels, quad, *(image_files.open_file(file, 3) for file in files))
        write_atomic(targets[photo], png(pixels, SOFTWARE))
    count = sum(map(len, by_photo.values()))
    print(f"align: {count:,} faces pasted into {len(by_photo):,} photos, in {out}/.")
    return 0


def read_table(path: Path, flag: str = "--csv") -> list[Cut]:
    """The crops that an `align.csv` lists. Raises AlignError if it cannot be read or is not such a
    table; the message names the flag."""
    try:
        if path.exists() and not path.is_file():
            raise ValueError("not a regular file")
        cuts = []
        with open(path, newline="", encoding="utf-8") as file:
            table = csv.DictReader(file)
            if lacking := set(COLUMNS) - set(table.fieldnames or ()):
                raise ValueError(f"no column {min(lacking)}")
            for row in table:
                photo, points = row["photo"], _points(row["points"], 5)
                if os.path.isabs(photo) or "\0" in photo:
                    raise ValueError(f"photo: got {photo!r}, expected a relative path")
                measures = {name: float(row[name]) for name in MEASURES}
                photo, quad = path.parent / photo, _square(row["square"])
                cuts.append(Cut(row["file"], photo, quad, points, measures))
        return cuts
    except OSError as error:
        raise AlignError(f"{flag}={path}: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise AlignError(f"{flag}={path}: not a table of alae_tf.align ({error}).") from None


def _square(text: str) -> np.ndarray:
    """Parses the corners [4, 2] of a square with sides of 1 to `LONGEST` pixels."""
    quad = _points(text, 4)
    down, across = quad[1] - quad[0], quad[3] - quad[0]
    turned = np.array([-across[1], across[0]])  # equals `down`, up to the table's rounding
    side = np.hypot(*across)
    if not 1 <= side <= LONGEST or np.hypot(*(turned - down)) > side / 2:
        raise ValueError(f"square: got {text!r}, expected the corners of a square")
    return quad


def _points(text: str, count: int) -> np.ndarray:
    points = np.array([[float(number) for number in pair.split(",")] for pair in text.split()])
    if points.shape != (count, 2) or not np.isfinite(points).all():
        raise ValueError(f"got {text!r}, expected {count} points")
    return points


if __name__ == "__main__":
    sys.exit(start(main))
