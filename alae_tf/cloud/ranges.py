"""Files in storage that are read by ranges, through a cache on disk of limited size."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import os
import threading
import time
from pathlib import Path

from alae_tf.cloud.storage import Entry, Storage, StorageError
from alae_tf.system.environment import cache, number_from
from alae_tf.system.errors import report
from alae_tf.system.files import write_atomic

BLOCK = 2**20  # bytes
PATIENCE_SECONDS = 1800.0  # for storage that is unreachable during training
LONGEST_WAIT = 30.0  # seconds between two attempts


class RemoteFile:
    """A file in a folder in storage, by its name and its entry in a listing; can be opened like a
    path of this machine."""

    def __init__(self, storage: Storage, name: str, entry: Entry):
        self.name, self.size = name, entry.size
        self._storage = storage
        identity = f"{storage.url}/{name} {entry.size} {entry.version}"
        self._key = hashlib.sha256(identity.encode()).hexdigest()[:32]

    def __str__(self) -> str:
        return f"{self._storage.url}/{self.name}"

    def open(self) -> Reader:
        """Opens it for reading."""
        return Reader(self)

    def read(self, start: int, end: int) -> bytes:
        """Bytes from `start` up to `end`, or fewer at the end of the file. Raises OSError if they
        cannot be read for `PATIENCE_SECONDS`."""
        end = min(end, self.size)
        if start >= end:
            return b""
        begins = range(start // BLOCK * BLOCK, end, BLOCK)
        return b"".join(self._of_block(at, max(start, at), min(end, at + BLOCK)) for at in begins)

    def _of_block(self, at: int, start: int, end: int) -> bytes:
        """Bytes from `start` up to `end`, in the block that begins at `at`."""
        path = blocks().folder / f"{self._key}-{at // BLOCK}"
        whole = min(BLOCK, self.size - at)
        with contextlib.suppress(OSError), open(path, "rb", buffering=0) as file:
            if os.fstat(file.fileno()).st_size == whole:
                file.seek(start - at)
                return file.read(end - start)
        data = self._fetch(at, at + whole)
        blocks().add(path, data)
        return data[start - at : end - at]

    def _fetch(self, start: int, end: int) -> bytes:
        """Bytes from storage, with repeated attempts."""
        begun, wait, told = time.monotonic(), 1.0, False
        while True:
            try:
                data = self._storage.read(self.name, start, end)
                if len(data) == end - start:
                    break
                why = f"only {len(data):,} of {end - start:,} bytes arrived"
            except StorageError as error:
                why = error.why
            if time.monotonic() - begun > PATIENCE_SECONDS:
                raise OSError(f"{self}: {why}")
            if not told:
                report(str(self), f"{why}; trying again.")
            told = True
            time.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)
        if told:
            report(str(self), "is reachable again.")
        return data


class Reader(io.RawIOBase):
    """An open `RemoteFile`."""

    def __init__(self, file: RemoteFile):
        self._file, self._at = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._file.size}[whence]
        self._at = start + offset
        return self._at

    def readinto(self, buffer) -> int:
        data = self._file.read(self._at, self._at + len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class Blocks:
    """The cache of blocks: files in a folder. Beyond `limit` bytes, the oldest are deleted. Several
    processes may use it at once; each may exceed `limit` by a sixteenth."""

    def __init__(self, folder: Path, limit: int):
        self.folder, self._limit = folder, limit
        self._unchecked = limit  # bytes written since the folder was last measured
        self._lock = threading.Lock()

    def add(self, path: Path, data: bytes) -> None:
        """Keeps a block, unless the disk has no room for it."""
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomic(path, data)
        with self._lock:
            self._unchecked += len(data)
            if self._unchecked > self._limit / 16:
                self._unchecked = 0
                self._shrink()

    def _shrink(self) -> None:
        found = []
        for path in self.folder.glob("*-*"):
            with contextlib.suppress(FileNotFoundError):
                stat = path.stat()
                found.append((stat.st_mtime_ns, stat.st_size, path))
        room = self._limit
        for _, size, path in sorted(found, reverse=True):  # the newest first
            room -= size
            if room < 0:
                path.unlink(missing_ok=True)


def blocks() -> Blocks:
    """The cache of blocks in the folder `cache()`, of ALAE_TF_CLOUD_CACHE_GIB GiB."""
    return _blocks(cache().absolute() / "cloud" / "blocks")


@functools.cache
def _blocks(folder: Path) -> Blocks:
    return Blocks(folder, int(number_from("ALAE_TF_CLOUD_CACHE_GIB", 16) * 2**30))
