"""A directory of image files."""

import os
import stat
import threading
from pathlib import Path

import numpy as np
from tqdm import tqdm

from alae_tf.data.source import DataError, Source, report, split_query
from alae_tf.data.threads import pool
from alae_tf.images.read import open_image, read_image

EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp")
# Up to here every file is decoded at opening: seconds, for which all damaged files show at once.
DECODE_ALL = 2000
NAMES_SHOWN = 5


class FolderSource(Source):
    """`folder:DIR`, all PNG, JPEG and WebP files under DIR, sorted by relative path.

    Links are followed, those to directories too; each directory is read once.

    Pixels are read as `decode` says. Images are RGB even if every file is grey: what is asked for,
    not what happens to be there, decides the shape of the networks. `folder:DIR?channels=1` turns
    them all into grey.

    Files that cannot be read are left out, and one line says which. In folders of more than
    `DECODE_ALL` files the opening reads only the headers; a file found damaged later is replaced
    by the next one that can be read, so that the number and order of the images stay.

    Attributes:
        files: str, paths relative to DIR, of the images in use.
        skipped: how many files were found unreadable so far, at opening and later.

    Raises:
        DataError: no directory, no image in it, or none that can be read.
    """

    def __init__(self, uri: str, argument: str):
        path, options = split_query(uri, argument, ("channels",))
        if options.get("channels", "3") not in ("1", "3"):
            raise DataError(f"--data={uri}: channels={options['channels']} should be 1 or 3.")
        self.uri = uri
        self.channels = int(options.get("channels", "3"))
        self.root = Path(path).expanduser()
        self._unreadable: dict[str, Exception] = {}  # dicts keep their order: the report's too
        self._lock = threading.Lock()
        if not self.root.is_dir():
            raise DataError(f"--data={uri}: {self.root} is not a directory. It should be one.")
        found = _find(self.root)
        if not found:
            raise DataError(
                f"--data={uri}: no image in {self.root}. "
                f"Files named *{', *'.join(EXTENSIONS)} are looked for, in subdirectories too."
            )
        self.files = self._check(found)
        if not self.files:
            name, error = next(iter(self._unreadable.items()))
            raise DataError(
                f"--data={uri}: none of the {len(found):,} images can be read ({name}: {error}). "
                "At least one whole PNG, JPEG or WebP image is needed."
            )
        if self._unreadable:
            names = ", ".join(list(self._unreadable)[:NAMES_SHOWN])
            more = ", …" if self.skipped > NAMES_SHOWN else ""
            report(
                f"{uri}: {self.skipped:,} of {len(found):,} images cannot be read "
                f"and are left out: {names}{more}"
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
                with self._lock:
                    if name not in self._unreadable:
                        self._unreadable[name] = error
                        report(f"{self.uri}: {name} cannot be read; the next image replaces it")
        raise DataError(
            f"--data={self.uri}: no image can be read any more. Is {self.root} still there?"
        )

    def _check(self, found: list[str]) -> list[str]:
        """The files that can be read, as far as that is checked at opening."""
        whole = len(found) <= DECODE_ALL
        trials = pool().map(self._try_decode if whole else self._try_header, found)
        # The bar appears only if this takes long.
        trials = tqdm(trials, f"checking {self.root}", len(found), delay=2, leave=False)
        errors = dict(zip(found, trials, strict=True))
        if not whole:
            for name in found:
                errors[name] = errors[name] or self._try_decode(name)
                if errors[name] is None:
                    break
        self._unreadable = {name: error for name, error in errors.items() if error is not None}
        return [name for name in found if errors[name] is None]

    def _read(self, name: str) -> np.ndarray:
        return read_image(self._file(name), self.channels)

    def _file(self, name: str) -> Path:
        path = self.root / name
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe waits for who writes into it
            raise OSError(f"{name} is no regular file")
        return path

    def _try_header(self, name: str) -> Exception | None:
        try:
            open_image(self._file(name)).close()
        except Exception as error:  # PIL's plug-ins raise whatever their parser stumbles over
            return error
        return None

    def _try_decode(self, name: str) -> Exception | None:
        try:
            self._read(name)
        except Exception as error:
            return error
        return None


def _find(root: Path) -> list[str]:
    """Paths relative to `root`, sorted; of what bears an image's name and is no directory.

    Links to directories are followed, but no directory is entered twice: a link can lead back to
    one that is above it. The directories that are there by themselves come first, so that a link
    to one of them changes no name.
    """
    found, entered, links = [], set(), []

    def walk(top: str) -> None:
        for directory, subdirectories, names in os.walk(top):
            status = os.stat(directory)
            if (status.st_dev, status.st_ino) in entered:
                subdirectories.clear()
                continue
            entered.add((status.st_dev, status.st_ino))
            paths = [os.path.join(directory, name) for name in subdirectories]
            links.extend(sorted(filter(os.path.islink, paths)))
            found.extend(
                os.path.join(directory, name) for name in names if name.lower().endswith(EXTENSIONS)
            )

    walk(os.fspath(root))
    for link in links:  # grows meanwhile
        walk(link)
    return sorted(Path(path).relative_to(root).as_posix() for path in found)
