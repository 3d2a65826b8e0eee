"""A directory of image files, or an archive of them."""

import contextlib
import copy
import hashlib
import os
import threading
from pathlib import Path

import numpy as np
from tqdm import tqdm

from alae_tf.data.archive import KINDS
from alae_tf.data.source import (
    FOLDER_OPTIONS,
    NAMES_SHOWN,
    SHARE,
    DataError,
    Source,
    existing_directory,
    some,
    split_query,
)
from alae_tf.data.threads import pool
from alae_tf.images.files import left_out, walk
from alae_tf.images.read import extensions, open_image, read_image, reason
from alae_tf.system.errors import report

# Up to this number, all files are decoded at opening, which takes seconds and finds all damage.
DECODE_ALL = 2000
ELONGATED = 4  # a warning is given for images with a larger ratio of their sides
MOST_LOST = 0.1  # share of the images that may become unreadable before training stops


class Directory:
    """The image files in a directory, with the attributes and methods of
    `alae_tf.data.archive.Archive`."""

    def __init__(self, root: Path):
        self.path = root
        found, self.others, closed = walk(root)
        self.names, closed = (
            sorted(os.path.relpath(path, root) for path in paths) for paths in (found, closed)
        )
        unread = f"{len(closed):,} directories cannot be read: {some(closed)}"
        self.notes = [unread] if closed else []

    def open(self, name: str, whole: bool = True) -> Path:
        """The path of an image file; raises OSError if it is not a regular file."""
        path = self.path / name
        if not path.is_file():  # opening a pipe would wait forever
            raise OSError("not a regular file")
        return path


def position(name: str) -> float:
    """A number in [0, 1) that depends only on a relative path; `test=0.1` holds out the images
    below 0.1. Held-out images therefore stay held out when others are added."""
    return int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:6]) / 2**48


class FolderSource(Source):
    """`folder:DIR`, all image files under DIR, sorted by relative path.

    DIR is a directory, or a .zip or uncompressed .tar file (`alae_tf.data.archive.Archive`). See
    `alae_tf.images.files.walk` for which files are found, and `alae_tf.images.read.read_image` for
    how they are read. Options after a question mark, joined by "&":

    - `channels=1`: grey images. The default is RGB, even if every file is grey.
    - `test=OTHER`: the images in directory OTHER are held out.
    - `test=0.1`: that share of the images is held out, chosen by `position`.
    - `labels=folders`: the class of an image is the first folder in its relative path.

    Unreadable files are left out with a warning. In directories of more than `DECODE_ALL` files,
    opening reads only the headers; an image that turns out to be damaged later is replaced by the
    next one, which keeps the number and order of the images.

    Attributes:
        files: the relative paths of the images in use.
        sizes: int64 [n, 2], their widths and heights as stored.
        skipped: the number of unreadable files found so far.

    Raises:
        DataError: the directory or an option is wrong, or no image can be read; from `image` also
            if more than `MOST_LOST` of the images have become unreadable.
    """

    def __init__(self, uri: str, argument: str, classes: list[str] | None = None):
        path, options = split_query(argument, FOLDER_OPTIONS)
        for option, allowed in (("channels", ("3", "1")), ("labels", ("folders",))):
            if options.get(option, allowed[0]) not in allowed:
                raise DataError(f"{option}={options[option]}: must be {' or '.join(allowed)}.")
        test = options.get("test", "")
        self._share = float(test) if SHARE.fullmatch(test) else 0.0
        if SHARE.fullmatch(test) and not 0 < self._share < 1:
            raise DataError(
                f"test={test}: must be a share in (0, 1), for example 0.1, or a folder."
            )
        self.uri, self.channels = uri, int(options.get("channels", "3"))
        self.root = existing_directory(path, archives=True)
        archive = None if self.root.is_dir() else KINDS[self.root.suffix.lower()]
        self._files = archive(self.root) if archive else Directory(self.root)
        self._unreadable: dict[str, Exception] = {}
        self._lost = 0  # images that have become unreadable since opening
        self._lock = threading.Lock()
        found, others = self._files.names, self._files.others
        for note in self._files.notes:
            report(uri, note)
        if not found:
            held = f" It holds {left_out(others)}." if others else ""
            raise DataError(
                f"no image in {self.root}.{held} Image files are named "
                f"*{', *'.join(extensions())}; subdirectories are searched."
            )
        self.files = self._check(found)
        lost = some(f"{name} ({reason(error)})" for name, error in self._unreadable.items())
        if not self.files:
            raise DataError(f"none of the {len(found):,} images can be read: {lost}.")
        if lost:
            count = f"{self.skipped:,} of {len(found):,} images"
            report(uri, f"{count} cannot be read and are left out: {lost}")
        if others:
            report(uri, f"files of other types are left out: {left_out(others)}")
        if "labels" in options:
            self.class_names, self.labels = self.classes(classes)
        if self._share:
            self._hold_out_share()
        elif test:
            labelled = "&labels=folders" if "labels" in options else ""
            other = f"{test}?channels={self.channels}{labelled}"
            self.held_out = FolderSource(f"folder:{other}", other, self.class_names)
            ours, theirs = self.root.resolve(), self.held_out.root.resolve()
            if ours.is_relative_to(theirs) or theirs.is_relative_to(ours):
                raise DataError(f"{ours} and {theirs} overlap; use separate directories.")

    def _hold_out_share(self) -> None:
        """Moves a share of the images to `held_out`."""
        chosen = np.array([position(name) < self._share for name in self.files])
        if chosen.all() or not chosen.any():
            count = f"{chosen.sum():,} of {len(self):,} images would be held out"
            raise DataError(f"test={self._share:g}: {count}; both parts need images.")
        self.held_out = copy.copy(self)
        self.held_out._unreadable, self.held_out._lock = {}, threading.Lock()
        for part, places in ((self.held_out, chosen), (self, ~chosen)):
            part.files = [part.files[i] for i in np.flatnonzero(places)]
            part.sizes = part.sizes[places]
            if part.labels is not None:
                part.labels = part.labels[places]

    def check_batch(self, batch: int) -> None:
        if self._share and len(self) < batch:
            raise DataError(
                f"--data={self.uri}: test={self._share:g}: leaves {len(self):,} images to train "
                f"on, fewer than a batch of {batch:,}; hold out fewer, or lower --batch_by_level."
            )

    def classes(self, names: list[str] | None = None) -> tuple[list[str], np.ndarray]:
        """The names of the classes, sorted, and the class of each image, int64 [n]: the first
        folder in its relative path.

        Raises DataError if an image is in no folder, or in a folder that is not in `names`, or if
        there is only one class.
        """
        folders = [name.partition("/")[0] if "/" in name else "" for name in self.files]
        names = names or sorted(set(folders))
        for file, folder in zip(self.files, folders, strict=True):
            if not folder:
                why = f"{file} is not in a folder that names its class"
            elif folder not in names:
                why = f"folder {folder} is not a class of the training images: {some(names)}"
            elif len(names) < 2:
                why = f"{folder} is the only folder; at least two classes are needed"
            else:
                continue
            raise DataError(f"--data={self.uri}: labels=folders: {self.root}: {why}.")
        return names, np.array([names.index(folder) for folder in folders], np.int64)

    def warn_about_sizes(self, resolution: int) -> None:
        short, long = self.sizes.min(axis=1), self.sizes.max(axis=1)
        small = f"smaller than {resolution} px and will be enlarged"
        slim = f"over {ELONGATED} times as long as wide; only their central square is used"
        for kind, which in ((small, short < resolution), (slim, long > ELONGATED * short)):
            places = np.flatnonzero(which).tolist()
            sizes = some(f"{self.files[i]} ({'x'.join(map(str, self.sizes[i]))})" for i in places)
            if places:
                count = f"{len(places):,} of {len(self):,} images"
                report(self.uri, f"{count} are {kind}: {sizes}")

    @property
    def skipped(self) -> int:
        return len(self._unreadable)

    def __len__(self) -> int:
        return len(self.files)

    def image(self, index: int) -> np.ndarray:
        for step in range(len(self)):
            name = self.files[(index + step) % len(self)]
            if name in self._unreadable:
                continue
            try:
                return self._read(name)
            except Exception as error:
                if not self.root.exists():
                    break
                self._note(name, error)
        raise self._gone("the images can no longer be read")

    def _gone(self, what: str) -> DataError:
        return DataError(f"--data={self.uri}: {what}. Restore the files in {self.root}.")

    def _note(self, name: str, error: Exception) -> None:
        """Remembers an image that has become unreadable, and reports the first few."""
        with self._lock:
            if name in self._unreadable:
                return
            self._unreadable[name] = error
            self._lost += 1
            lost = self._lost
        why, count = f"{name} ({reason(error)})", f"{lost:,} of {len(self):,} images"
        if lost <= NAMES_SHOWN:
            report(self.uri, f"{why} can no longer be read; the next image replaces it")
        elif lost.bit_count() == 1:  # 8, 16, 32 …
            report(self.uri, f"{count} can no longer be read")
        if lost > max(NAMES_SHOWN, MOST_LOST * len(self)):
            what = f"{count} can no longer be read, at last {why}"
            raise self._gone(f"{what}; at most {MOST_LOST:.0%} may be missing")

    def _check(self, found: list[str]) -> list[str]:
        """The files that pass the check at opening; sets `sizes`."""
        whole = len(found) <= DECODE_ALL
        trials = pool().map(lambda name: self._size(name, whole), found)
        about, late = f"checking {self.root}", 2  # the bar appears only if this takes long
        trials = tqdm(trials, about, len(found), delay=late, leave=False, disable=None)
        results = dict(zip(found, trials, strict=True))
        for name in found if not whole else ():  # at least one image must be intact
            if not isinstance(results[name], Exception):
                results[name] = self._size(name, whole=True)
            if not isinstance(results[name], Exception):
                break
        self._unreadable = {n: why for n, why in results.items() if isinstance(why, Exception)}
        sizes = {name: size for name, size in results.items() if name not in self._unreadable}
        self.sizes = np.array(list(sizes.values()), np.int64).reshape(-1, 2)
        return list(sizes)

    def _size(self, name: str, whole: bool) -> tuple[int, int] | Exception:
        """Width and height, or why they cannot be read; `whole`: decodes the image, too."""
        try:
            if whole:
                height, width, _ = self._read(name).shape
                return width, height
            with contextlib.suppress(Exception):  # from the head of the file, which mostly suffices
                with open_image(self._files.open(name, whole=False)) as image:
                    return image.size
            with open_image(self._files.open(name)) as image:
                return image.size
        except Exception as error:  # PIL's parsers raise many types
            return error

    def _read(self, name: str) -> np.ndarray:
        return read_image(self._files.open(name), self.channels)
