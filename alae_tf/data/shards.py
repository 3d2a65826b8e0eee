"""Writes images as TFRecord shards, each of them completely or not at all.

A shard is a range of consecutive images, in one file per resolution. Its files are written in the
work folder and renamed into place together; then a note in the work folder records their sizes and
checksums. Files without a note, or that differ from it, are written again.
"""

import contextlib
import dataclasses
import io
import json
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import wait
from pathlib import Path

import numpy as np
import tensorflow as tf

from alae_tf.data import Source
from alae_tf.data import tfrecord_format as format_
from alae_tf.data.prepared import WORK, file_name
from alae_tf.data.records import FOOTER, HEADER
from alae_tf.data.threads import pool
from alae_tf.system import schema
from alae_tf.system.errors import AlaeError, ConfigError
from alae_tf.system.files import sha256, temporary_file, write_atomic

ENTRY = {"images": int, "bytes": int, "sha256": str}  # a file in a note; see `schema`


class Stopped(Exception):
    """The user has stopped the work."""


class SourceChangedError(AlaeError):
    """The images differ from those prepared before; the message names a file."""


@dataclasses.dataclass(frozen=True)
class Shard:
    """Images `start` to `stop` - 1 of a part ("train" or "test")."""

    part: str
    number: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def divide(part: str, images: int, shards: int) -> list[Shard]:
    """Divides a number of images into shards whose sizes differ by at most one."""
    bounds = [round(images * k / shards) for k in range(shards + 1)]
    return [Shard(part, k, bounds[k], bounds[k + 1]) for k in range(shards)]


def record_bytes(resolution: int, channels: int) -> int:
    """The size of an image's record in its file."""
    image = np.zeros([resolution, resolution, channels], np.uint8)
    return HEADER + len(format_.to_record(image)) + FOOTER


def describe(path: Path) -> dict[str, int | str]:
    """The size and the checksum of a file."""
    return {"bytes": path.stat().st_size, "sha256": sha256(path)}


def write_labels(out: Path, part: str, source: Source) -> dict | None:
    """Writes PART-labels.npy; returns its name, size and checksum, or None without labels. Raises
    ConfigError if another file has this name."""
    if source.labels is None:
        return None
    buffer = io.BytesIO()
    np.save(buffer, source.labels, allow_pickle=False)
    path = out / f"{part}-labels.npy"
    check_ours(path, np.lib.format.MAGIC_PREFIX)
    if not path.exists() or path.read_bytes() != buffer.getvalue():
        write_atomic(path, buffer.getvalue())
    return {"file": path.name, **describe(path)}


def check_ours(path: Path, start: bytes) -> None:
    """Raises ConfigError if a file that is to be replaced is not empty and does not start as a file
    of a preparation does."""
    if os.path.lexists(path):
        if path.is_file() and not path.is_symlink():
            with open(path, "rb") as file:
                if file.read(len(start)) in (start, b""):
                    return
        why = f"{path.name} was not written by this command; move it away"
        raise ConfigError(f"--out={path.parent}: {why}.")


@dataclasses.dataclass
class ShardWriter:
    """Writes shards into a directory, whose work folder must exist.

    `stopping` is called before each image, and ends the work if it returns True; `advance` is
    called with the number of images just finished. `repaired` are the names of the files that were
    missing or damaged and were written again.
    """

    out: Path
    sources: Mapping[str, Source]
    resolutions: list[int]
    stopping: Callable[[], bool]
    advance: Callable[[int], object]

    def __post_init__(self) -> None:
        self.work, self.repaired = self.out / WORK, []
        self._lock = threading.Lock()
        self._failed = threading.Event()

    def check(self, shards: list[Shard]) -> None:
        """Raises ConfigError, before any work, if an existing file has the name of a file to be
        written and is not a TFRecord of its resolution."""
        for shard in shards:
            for resolution, name in self._names(shard).items() if not self.note(shard) else ():
                payload = record_bytes(resolution, self.sources[shard.part].channels)
                payload -= HEADER + FOOTER
                check_ours(self.out / name, payload.to_bytes(8, "little"))

    def run(self, shards: list[Shard]) -> None:
        """Writes all shards, on all cores.

        Raises:
            Stopped: `stopping` returned True.
            SourceChangedError, DataError, OSError, tf.errors.OpError: the first failure. In both
                cases finished shards have their notes, and no other files remain.
        """
        futures = [pool().submit(self._make, shard) for shard in shards]
        try:
            wait(futures)
        finally:
            self._failed.set()  # after a second Ctrl-C the threads stop too
        errors = [future.exception() for future in futures]
        for error in sorted(filter(None, errors), key=lambda e: isinstance(e, Stopped)):
            raise error

    def note(self, shard: Shard) -> dict[str, dict] | None:
        """The note of a finished shard, {file name: {images, bytes, sha256}}, or None."""
        names = self._names(shard).values()
        try:
            note = schema.load(self._note_path(shard), dict.fromkeys(names, ENTRY))
        except (OSError, ValueError):
            return None
        return note if all(len(note[name]["sha256"]) == 64 for name in names) else None

    def _make(self, shard: Shard) -> None:
        try:
            self._check_stop()
            note, names = self.note(shard), self._names(shard)
            missing = [r for r in names if not note or not self._whole(names[r], note)]
            if missing:
                self._write(shard, missing, note)
            with self._lock:
                self.advance(0 if missing else len(shard))
                self.repaired += [names[r] for r in missing if note]
        except BaseException:
            self._failed.set()
            raise

    def _check_stop(self) -> None:
        if self._failed.is_set() or self.stopping():
            raise Stopped

    def _write(self, shard: Shard, resolutions: list[int], note: dict | None) -> None:
        """Writes a shard's files at some resolutions, and the note of a new shard."""
        names = {r: name for r, name in self._names(shard).items() if r in resolutions}
        with contextlib.ExitStack() as files:
            paths = {
                name: Path(files.enter_context(temporary_file(self.work)).name)
                for name in names.values()
            }
            with contextlib.ExitStack() as stack:
                enter = stack.enter_context
                writers = [enter(tf.io.TFRecordWriter(str(path))) for path in paths.values()]
                for index in range(shard.start, shard.stop):
                    self._check_stop()
                    images = self.sources[shard.part].pyramid(index, list(names))
                    for writer, image in zip(writers, images, strict=True):
                        writer.write(format_.to_record(image))
                    with self._lock:
                        self.advance(1)
            entries = {}
            for name, path in paths.items():
                with open(path, "rb+") as file:
                    os.fsync(file.fileno())
                entries[name] = {"images": len(shard), **describe(path)}
            for name, entry in entries.items():
                if note and note[name] != entry:
                    raise SourceChangedError(
                        f"{name}: its new content differs from the old: the images (or Pillow) "
                        "have changed; restore them, or give another --out"
                    )
            for name, path in paths.items():
                os.replace(path, self.out / name)
            if not note:
                write_atomic(self._note_path(shard), json.dumps(entries).encode())

    def _whole(self, name: str, note: dict) -> bool:
        path = self.out / name
        try:
            if path.stat().st_size != note[name]["bytes"]:  # without reading it
                return False
            return {"images": note[name]["images"], **describe(path)} == note[name]
        except OSError:
            return False

    def _names(self, shard: Shard) -> dict[int, str]:
        return {r: file_name(shard.part, r, shard.number) for r in self.resolutions}

    def _note_path(self, shard: Shard) -> Path:
        return self.work / f"{shard.part}-{shard.number:03}.json"
