"""Local copies of folders in storage.

A copy lies in the cache, at cloud/KIND-HASH/, where HASH is the hash of the URL:

NAME/        the files; NAME is the last part of the URL
index.json   the copy's id, and the state in which each file was last the same as in storage
lock         held by the process that uses the copy
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import platform
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from alae_tf.cloud.lease import FOLDER as LEASES
from alae_tf.cloud.storage import Entry, Storage, StorageError
from alae_tf.system import schema
from alae_tf.system.environment import cache
from alae_tf.system.files import TEMPORARY, Lock, member, write_atomic

INDEX = {"copy": str, "files": {str: {"here": [int], "there": [object]}}}
HIDDEN = (".lock",)  # files that belong to this machine
Rank = Callable[[str], int | None]  # name → place in the order of uploads; None: not uploaded
Stat = list[int]  # size in bytes, time of the last change in ns


class Copy:
    """The local copy of a folder.

    Args:
        url: the URL of the folder.
        kind: what the copy is for; a folder has a copy of each kind.

    Attributes:
        path: the folder of the files, which need not exist.
        id: identifies this copy among those on all machines.

    All other methods need the lock.
    """

    def __init__(self, url: str, kind: str):
        url = url.rstrip("/")
        self._home = cache().absolute() / "cloud" / f"{kind}-{_hash(url)}"
        self.path = self._home / (url.rpartition("/")[2] or "folder")
        self._index = self._home / "index.json"
        self._lock: Lock | None = None
        self.id = f"{platform.node()}:{secrets.token_hex(8)}"
        self._files: dict[str, dict[str, list]] = {}

    def lock(self) -> None:
        """Locks the copy for this process. Raises BlockingIOError if another process uses it."""
        if self._lock is None:
            self._home.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(self._home / "lock")
            if not self.path.is_dir():  # nothing, or only parts of a copy
                return
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
        for name, entry in entries.items():
            if name.startswith(LEASES):
                continue
            known, path = self._files.get(name), self._inside(storage, name)
            if known and known["there"] == [*entry] and known["here"] == _stat(path):
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            storage.download(name, entry, path)
            self._note(name, _stat(path), [*entry])
        for name in self._names():
            if name not in entries:
                (self.path / name).unlink(missing_ok=True)
                self._files.pop(name, None)
        self._write_index()

    def changed(self) -> list[str]:
        """The names of files whose present state is not known to be in storage."""
        found = []
        for name in self._names():
            known = self._files.get(name)
            if known is None or known["here"] != _stat(self.path / name):
                found.append(name)
        return found

    def upload(
        self,
        storage: Storage,
        rank: Rank,
        pinned: Callable[[list[str]], list[str]] = lambda names: [],
    ) -> None:
        """Uploads the changed files in the order of their ranks; then deletes from storage the
        files that this copy has downloaded or uploaded, and that were since deleted from it.

        `pinned` chooses the changed files whose present state is uploaded even if they are deleted
        in the meantime.
        """
        ranked = [(rank(name), name) for name in self.changed()]
        names = [name for _, name in sorted(each for each in ranked if each[0] is not None)]
        with contextlib.ExitStack() as stack:
            pins = {}
            for name in pinned(names):
                pins[name] = self._home / f".alae-{secrets.token_hex(8)}.partial"
                stack.callback(pins[name].unlink, missing_ok=True)
                with contextlib.suppress(FileNotFoundError):
                    os.link(self.path / name, pins[name])
            for name in names:
                path = pins.get(name, self.path / name)
                state = _stat(path)  # before the upload, during which the file may grow
                if state is None:
                    continue
                try:
                    storage.upload(path, name)
                except FileNotFoundError:  # deleted meanwhile
                    continue
                self._note(name, state, [])
        for name in [*self._files]:
            if not os.path.lexists(self.path / name):
                storage.delete(name)
                del self._files[name]
        self._write_index()

    def set_aside(self) -> Path:
        """Renames the files, which a download would replace; returns their new folder."""
        for number in itertools.count(1):
            aside = self._home / f"{self.path.name}-before-{number}"
            if not aside.exists():
                break
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
        found = []
        for folder, _, files in os.walk(self.path):
            for file in files:
                name = Path(folder, file).relative_to(self.path).as_posix()
                if file not in HIDDEN and not TEMPORARY.fullmatch(file):
                    found.append(name)
        return [name for name in found if not any(map(TEMPORARY.fullmatch, name.split("/")))]

    def _inside(self, storage: Storage, name: str) -> Path:
        try:
            return member(self.path, name, follow=False)
        except ValueError:
            raise StorageError(storage.where, f"{name!r} leads out of the folder") from None

    def _note(self, name: str, here: Stat | None, there: list) -> None:
        self._files[name] = {"here": here or [], "there": there}
        self._write_index()

    def _write_index(self) -> None:
        self._home.mkdir(parents=True, exist_ok=True)
        index = {"copy": self.id, "files": self._files}
        write_atomic(self._index, json.dumps(index).encode())


def merge_lines(storage: Storage, name: str, path: Path) -> None:
    """Adds to a file the lines of the file in storage that it lacks, and uploads the result: two
    processes can add lines to one file."""
    held = path.read_bytes().split(b"\n")
    if name in storage.list(name):
        missing = [line for line in storage.read(name).split(b"\n") if line not in held]
        if missing:
            with open(path, "ab") as file:
                file.write(b"".join(line + b"\n" for line in missing))
    storage.upload(path, name)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _stat(path: Path) -> Stat | None:
    """Size and time of a file; None if it does not exist."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return [found.st_size, found.st_mtime_ns]
