"""A directory of image files."""

import threading
from pathlib import Path

import numpy as np
from tqdm import tqdm

from alae_tf.data.source import (
    FOLDER_OPTIONS,
    NAMES_SHOWN,
    DataError,
    Source,
    existing_directory,
    report,
    some,
    split_query,
)
from alae_tf.data.threads import pool
from alae_tf.images.files import left_out, walk
from alae_tf.images.read import extensions, open_image, read_image, reason

# Up to here every file is decoded at opening: seconds, for which all damaged files show at once.
DECODE_ALL = 2000
# Sides whose ratio is beyond this are told: of such an image the central square is little.
ELONGATED = 4
# The share of the images that may be lost on the way and replaced by others.
MOST_LOST = 0.1


class FolderSource(Source):
    """`folder:DIR`, all image files under DIR, sorted by relative path.

    They are found by `alae_tf.images.files.walk`; one line counts the files of other types.

    Pixels are read as `decode` says. Images are RGB even if every file is grey: what is asked for,
    not what happens to be there, decides the shape of the networks. `folder:DIR?channels=1` turns
    them all into grey. `folder:DIR?test=OTHER` holds out the images of another directory, with both
    `folder:DIR?channels=1&test=OTHER`. With `folder:DIR?labels=folders` the folder of DIR that an
    image is in is its class.

    Files that cannot be read are left out, and one line says which, and why. In folders of more
    than `DECODE_ALL` files the opening reads only the headers; a file found damaged later is
    replaced by the next one that can be read, so that the number and order of the images stay. When
    more than `MOST_LOST` of them are, `image` raises DataError.

    Attributes:
        files: str, paths relative to DIR, of the images in use.
        sizes: int64 [n, 2], their widths and heights as stored.
        class_names: of the labels, where there are some.
        skipped: how many files were found unreadable so far, at opening and later.

    Raises:
        DataError: no directory, no image in it, or none that can be read.
    """

    def __init__(self, uri: str, argument: str, classes: list[str] | None = None):
        path, options = split_query(uri, argument, FOLDER_OPTIONS)
        if options.get("channels", "3") not in ("1", "3"):
            raise DataError(f"--data={uri}: channels={options['channels']} should be 1 or 3.")
        self.uri = uri
        self.channels = int(options.get("channels", "3"))
        self.root = existing_directory(uri, path, "It should be one.")
        self._unreadable: dict[str, Exception] = {}  # dicts keep their order: the report's too
        self._told = 0  # of those that were found unreadable after opening
        self._lock = threading.Lock()
        paths, others, closed = walk(self.root)
        found, closed = self._relative(paths), self._relative(closed)
        if not found:
            held = f" It holds {left_out(others)}." if others else ""
            raise DataError(
                f"--data={uri}: no image in {self.root}.{held} "
                f"Files named *{', *'.join(extensions())} are looked for, in subdirectories too."
            )
        self.files = self._check(found)
        if not self.files:
            name, error = next(iter(self._unreadable.items()))
            raise DataError(
                f"--data={uri}: none of the {len(found):,} images can be read "
                f"({name}: {reason(error)}). At least one whole image is needed."
            )
        if self._unreadable:
            named = some(f"{name} ({reason(error)})" for name, error in self._unreadable.items())
            report(
                f"{uri}: {self.skipped:,} of {len(found):,} images cannot be read "
                f"and are left out: {named}"
            )
        if others:
            report(f"{uri}: files of other types are left out: {left_out(others)}")
        if closed:
            report(f"{uri}: {len(closed):,} directories cannot be entered: {some(closed)}")
        if options.get("labels", "folders") != "folders":
            raise DataError(f"--data={uri}: labels={options['labels']} should be folders.")
        if "labels" in options:
            self.class_names, self.labels = self.classes(classes)
        if "test" in options:
            labelled = "&labels=folders" if "labels" in options else ""
            other = f"{options['test']}?channels={self.channels}{labelled}"
            self.held_out = FolderSource(f"folder:{other}", other, self.class_names)
            ours, theirs = self.root.resolve(), self.held_out.root.resolve()
            if ours in (theirs, *theirs.parents) or theirs in ours.parents:
                inner, outer = sorted((ours, theirs), key=lambda path: -len(path.parts))
                raise DataError(
                    f"--data={uri}: {inner} is in {outer}, so that training would see images that "
                    "are held out; put them side by side."
                )

    def classes(self, names: list[str] | None = None) -> tuple[list[str], np.ndarray]:
        """The names of the folders that the images are in, sorted, and each image's, int64 [n].

        Args:
            names: those of the images that these are held out from; no others are right.

        Raises:
            DataError: an image is in no folder, or in one of another name, or all are in one.
        """
        folders = [name.partition("/")[0] if "/" in name else "" for name in self.files]
        names = names or sorted(set(folders))
        for file, folder in zip(self.files, folders, strict=True):
            if not folder:
                why = f"{file} lies in no folder that names its class"
            elif folder not in names:
                why = f"{folder} is no class of the others, which are {', '.join(names[:8])}"
            elif len(names) < 2:
                why = f"{folder} is the only folder; there should be one for each class"
            else:
                continue
            raise DataError(f"--data={self.uri}: labels=folders: {self.root}: {why}.")
        return names, np.array([names.index(folder) for folder in folders], np.int64)

    def tell_sizes(self, resolution: int) -> None:
        short, long = self.sizes.min(axis=1), self.sizes.max(axis=1)
        kinds = {
            f"smaller than {resolution} px and will be enlarged": short < resolution,
            f"over {ELONGATED} times as long as wide, and only their central square is used": (
                long > ELONGATED * short
            ),
        }
        for kind, which in kinds.items():
            if which.any():
                places = np.flatnonzero(which).tolist()
                sizes = (f"{self.files[i]} ({'x'.join(map(str, self.sizes[i]))})" for i in places)
                report(
                    f"{self.uri}: {len(places):,} of {len(self):,} images are {kind}: {some(sizes)}"
                )

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
                if not self.root.is_dir():
                    break
                self._note(name, error)
        raise DataError(
            f"--data={self.uri}: no image can be read any more. They should be in "
            f"{self.root}, as they were at the start."
        )

    def _note(self, name: str, error: Exception) -> None:
        """Remembers a file that was found unreadable after opening, and reports the first few."""
        with self._lock:
            if name in self._unreadable:
                return
            self._unreadable[name] = error
            self._told += 1
            told, count = self._told, len(self)
        if told <= NAMES_SHOWN:
            why = reason(error)
            report(f"{self.uri}: {name} cannot be read ({why}); the next image replaces it")
        elif told & (told - 1) == 0:  # 8, 16, 32 …
            report(f"{self.uri}: {told:,} of {count:,} images cannot be read any more")
        if told > max(NAMES_SHOWN, MOST_LOST * count):
            raise DataError(
                f"--data={self.uri}: {told:,} of {count:,} images cannot be read any more, the "
                f"last one {name} ({reason(error)}); at most {MOST_LOST:.0%} are replaced by "
                f"others. They should be in {self.root}, as they were at the start."
            )

    def _check(self, found: list[str]) -> list[str]:
        """The files that can be read, as far as that is checked at opening; notes their sizes."""
        whole = len(found) <= DECODE_ALL
        trials = pool().map(self._try_decode if whole else self._try_header, found)
        # The bar appears only if this takes long.
        trials = tqdm(trials, f"checking {self.root}", len(found), delay=2, leave=False)
        results = dict(zip(found, trials, strict=True))
        if not whole:
            for name in found:
                if not isinstance(results[name], Exception):
                    results[name] = self._try_decode(name)
                if not isinstance(results[name], Exception):
                    break
        self._unreadable = {
            n: result for n, result in results.items() if isinstance(result, Exception)
        }
        sizes = {n: result for n, result in results.items() if n not in self._unreadable}
        self.sizes = np.array(list(sizes.values()), np.int64).reshape(-1, 2)
        return list(sizes)

    def _try_header(self, name: str) -> tuple[int, int] | Exception:
        """Width and height, or why they cannot be read."""
        try:
            with open_image(self._path(name)) as image:
                return image.size
        except Exception as error:  # PIL's plug-ins raise whatever their parser stumbles over
            return error

    def _try_decode(self, name: str) -> tuple[int, int] | Exception:
        """Width and height, or why the image cannot be read."""
        try:
            height, width, _ = self._read(name).shape
            return width, height
        except Exception as error:
            return error

    def _read(self, name: str) -> np.ndarray:
        return read_image(self._path(name), self.channels)

    def _relative(self, paths: list[str]) -> list[str]:
        return sorted(Path(path).relative_to(self.root).as_posix() for path in paths)

    def _path(self, name: str) -> Path:
        path = self.root / name
        if not path.is_file():  # to open a pipe would be to wait for ever
            raise OSError("no regular file")
        return path
