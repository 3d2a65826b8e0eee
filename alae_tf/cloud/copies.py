"""Local copies of folders in storage.

A copy lies in the cache, at cloud/KIND-HASH/, where HASH is the hash of the URL:

NAME/        the files; NAME is the last part of the URL
index.json   the copy's id, and the state in which each file was last the same as in storage
lock         held by the process that uses the copy
"""

import contextlib
import hashlib
import json
import os
import platform
import posixpath
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from alae_tf.cloud.lease import FOLDER as LEASES
from alae_tf.cloud.storage import Entry, Storage, StorageError
from alae_tf.system import schema
from alae_tf.system.environment import cache
from alae_tf.system.errors import AlaeError
from alae_tf.system.files import TEMPORARY, Lock, member, unused, write_atomic

INDEX = {"copy": str, "files": {str: {"here": [int], "there": [object]}}}
INDEX_SECONDS = 1.0  # between two writes of the index, which takes long for many files
LOCK = ".lock"  # a file that belongs to this machine
Rank = Callable[[str], int | None]  # name → place in the order of uploads; None: not uploaded
Stat = list[int]  # size in bytes, time of the last change in ns


class Copy:
    """The local copy of the folder at a URL; a folder has a copy of each `kind`.

    Attributes:
        path: the folder of the files, which need not exist.
        id: identifies this copy among those on all machines.

    All methods but `lock` and `locked` need the lock.
    """

    def __init__(self, url: str, kind: str):
        url = url.rstrip("/")
        identity = hashlib.sha256(url.encode()).hexdigest()[:16]
        self._home = cache().absolute() / "cloud" / f"{kind}-{identity}"
        self.path = self._home / (url.rpartition("/")[2] or "folder")
        self._index = self._home / "index.json"
        self._lock: Lock | None = None
        self.id = f"{platform.node()}:{secrets.token_hex(8)}"
        self._files: dict[str, dict[str, list]] = {}

    def lock(self) -> None:
        """Locks the copy for this process. Raises BlockingIOError if another process uses it, and
        AlaeError if the cache cannot be written."""
        if self._lock is not None:
            return
        try:
            self._home.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(self._home / "lock")
        except BlockingIOError:
            raise
        except OSError as error:
            how = "ALAE_TF_CACHE names another folder for local copies"
            raise AlaeError(f"{self._home}: {error.strerror}; {how}.") from None
        if self.path.is_dir():  # otherwise: nothing, or only parts of a copy
            with contextlib.suppress(OSError, ValueError):
                index = schema.load(self._index, INDEX)
                self.id, self._files = index["copy"], index["files"]

    def unlock(self) -> None:
        """Releases the lock."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Waits for the lock, and holds it within the block."""
        while True:
            try:
                self.lock()
                break
            except BlockingIOError:
                time.sleep(0.1)
        try:
            yield
        finally:
            self.unlock()

    def download(
        self, storage: Storage, entries: Mapping[str, Entry], wanted: Callable[[str], bool]
    ) -> None:
        """Makes the copy the same as the `wanted` files of a listing. Files that changed on either
        side are downloaded, and files that are missing in storage are deleted."""
        entries = {name: entry for name, entry in entries.items() if wanted(name)}
        for name in self._names():  # first: a file may have become a folder
            if name not in entries:
                self._delete(name)
        self._fetch(storage, {n: e for n, e in entries.items() if not self._is_same(n, e)})

    def forget(self, entries: Mapping[str, Entry], ours: Callable[[str], bool]) -> None:
        """Counts those of our files as changed that are missing in a listing: somebody has deleted
        them from storage."""
        gone = [name for name in self._files if ours(name) and name not in entries]
        for name in gone:
            del self._files[name]

    def restore(self, storage: Storage, entries: Mapping[str, Entry]) -> None:
        """Downloads the files that something else, for example a cleaner of caches, has deleted
        from the copy."""
        self._fetch(storage, {name: entries[name] for name in self._lost() if name in entries})

    def knows(self, name: str) -> bool:
        """Whether this copy downloaded or uploaded a file."""
        return name in self._files

    def continues(self, mark: str, entry: Entry | None) -> bool:
        """Whether the copy has changes of an earlier process that are not uploaded: it is whole,
        and the file `mark`, which is uploaded last, is in storage as it was before them."""
        before = self._files.get(mark, {}).get("there")
        same = before == ([*entry] if entry else None)
        return same and (self.path / mark).exists() and not self._lost()

    def changed(self) -> list[str]:
        """The names of files whose present state is not known to be in storage."""
        known = {name: entry["here"] for name, entry in self._files.items()}
        return [name for name in self._names() if known.get(name) != _stat(self.path / name)]

    def upload(
        self,
        storage: Storage,
        rank: Rank,
        pinned: Callable[[list[str]], list[str]] = lambda names: [],
        outdated: Callable[[str], bool] = lambda name: True,
    ) -> None:
        """Uploads the changed files in the order of their ranks; those that `pinned` chooses in
        their present state, even if they are deleted in the meantime. Then deletes from storage the
        known files that were deleted from this copy and are `outdated`."""
        ranked = [(rank(name), name) for name in self.changed()]
        names = [name for _, name in sorted(each for each in ranked if each[0] is not None)]
        with contextlib.ExitStack() as stack:
            pins = {}
            for name in pinned(names):
                pins[name] = self._home / f".alae-{secrets.token_hex(8)}.partial"
                stack.callback(pins[name].unlink, missing_ok=True)
                try:
                    os.link(self.path / name, pins[name])
                except FileNotFoundError:  # deleted meanwhile
                    pass
                except OSError:  # a disk without hard links
                    del pins[name]
            for name in names:
                path = pins.get(name, self.path / name)
                state = _stat(path)  # before the upload, during which the file may grow
                if state is None:
                    continue
                try:
                    storage.upload(path, name)
                except FileNotFoundError:  # deleted meanwhile
                    continue
                self._files[name] = {"here": state, "there": []}
                self._write_index()
        for name in filter(outdated, self._lost()):
            storage.delete(name)
            del self._files[name]
        self._write_index()

    def set_aside(self) -> Path:
        """Renames the files, which a download would replace; returns their new folder."""
        aside = unused(self._home / f"{self.path.name}-before-1")
        os.rename(self.path, aside)
        self._files.clear()
        self._write_index()
        return aside

    def remove(self) -> None:
        """Deletes the copy; files that were set aside stay."""
        aside = any(self._home.glob("*-before-*"))
        shutil.rmtree(self.path if aside else self._home, ignore_errors=True)
        self._index.unlink(missing_ok=True)

    def _names(self) -> list[str]:
        """The files of the copy, without temporary files and locks."""
        found = [
            Path(folder, file).relative_to(self.path)
            for folder, _, files in os.walk(self.path)
            for file in files
            if file != LOCK
        ]
        return [p.as_posix() for p in found if not any(map(TEMPORARY.fullmatch, p.parts))]

    def _lost(self) -> list[str]:
        """The known files that are missing from the copy."""
        return [name for name in self._files if not os.path.lexists(self.path / name)]

    def _is_same(self, name: str, entry: Entry) -> bool:
        """Whether a file needs no download."""
        known = self._files.get(name)
        same = known and known["there"] == [*entry] and known["here"] == _stat(self.path / name)
        return name.startswith(LEASES) or bool(same)

    def _fetch(self, storage: Storage, entries: Mapping[str, Entry]) -> None:
        """Downloads some files."""
        written = time.monotonic()
        try:
            for name, entry in entries.items():
                path = self._inside(storage, name)
                try:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    storage.download(name, entry, path)
                except OSError as error:  # the disk is full, or the name is that of a folder
                    why = f"{name}: cannot be copied to {path} ({error.strerror or error})"
                    raise StorageError(storage.where, why) from None
                self._files[name] = {"here": _stat(path) or [], "there": [*entry]}
                if time.monotonic() - written > INDEX_SECONDS:
                    self._write_index()
                    written = time.monotonic()
        finally:
            with contextlib.suppress(OSError):  # they are downloaded again
                self._write_index()

    def _delete(self, name: str) -> None:
        """Deletes a file, and its folders if they are then empty."""
        (self.path / name).unlink(missing_ok=True)
        self._files.pop(name, None)
        with contextlib.suppress(OSError):
            for parent in Path(name).parents[:-1]:
                (self.path / parent).rmdir()

    def _inside(self, storage: Storage, name: str) -> Path:
        """The path of a file. S3 tells a//b and ./b from a/b and b, which disks do not."""
        try:
            if name != posixpath.normpath(name):
                raise ValueError
            return member(self.path, name, follow=False)
        except ValueError:
            why = f"{name!r} cannot be the name of a file in a folder; rename the object"
            raise StorageError(storage.where, why) from None

    def _write_index(self) -> None:
        self._home.mkdir(parents=True, exist_ok=True)
        index = {"copy": self.id, "files": self._files}
        write_atomic(self._index, json.dumps(index).encode())


def merge_lines(storage: Storage, name: str, path: Path) -> None:
    """Adds to a file the lines of the file in storage that it lacks, and uploads the result: two
    processes can add lines to one file."""
    lines = path.read_bytes().split(b"\n")
    if name in storage.list(name):
        missing = [line for line in storage.read(name).split(b"\n") if line not in lines]
        if missing:
            with open(path, "ab") as file:
                file.write(b"".join(line + b"\n" for line in missing))
        lines[-1:-1] = missing  # the last is empty, after the last newline
    storage.write(name, b"\n".join(lines))


def _stat(path: Path) -> Stat | None:
    """Size and time of a file; None if it does not exist."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return [found.st_size, found.st_mtime_ns]
