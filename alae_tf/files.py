"""Files and directories as every command needs them: whole, locked, and never another's.

No TensorFlow here.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from alae_tf.errors import AlaeError

PARTIAL = ".partial"  # ends the name of a file that is being written
# What disks say that know no locks, as some network disks: used without one.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)


def write_atomic(path: Path, data: bytes | Callable[[BinaryIO], object]) -> None:
    """Writes a file whole or not at all: beside, then renamed.

    Args:
        path: the file.
        data: what to write, or a function that writes it into the open file.

    Raises:
        OSError: the disk is full, away or write-protected; what was there is untouched.
    """
    beside = path.with_name(path.name + PARTIAL)
    try:
        with open(beside, "wb") as file:
            data(file) if callable(data) else file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


class Lock:
    """A file that one process at a time holds; the system lets go of it when that one ends.

    Args:
        path: the file, made if it is not there.

    Raises:
        BlockingIOError: another process holds it.
        OSError: it cannot be made.
        AlaeError: the system is neither Linux nor macOS.
    """

    def __init__(self, path: Path):
        try:
            import fcntl
        except ImportError:
            raise AlaeError(
                f"{path}: cannot be locked on {sys.platform}; training and export need Linux or "
                "macOS (on Windows: WSL 2). On-device encoding runs anywhere."
            ) from None
        self._file = open(path, "a", encoding="utf-8")  # what the holder wrote into it stays
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                self._file.close()
                raise

    def release(self) -> None:
        """Leaves the lock to others."""
        self._file.close()

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()


def check_directory(
    flag: str,
    path: Path,
    what: str,
    mark: str,
    ignored: Callable[[str], bool] = lambda name: False,
) -> bool:
    """Tells, before any work and without writing, whether a command may write into a directory.

    Args:
        flag: that names it, as "--out".
        path: the directory; need not exist.
        what: it may hold already, as "an export".
        mark: path in it that only such a thing has.
        ignored: names that count as nothing.

    Returns:
        Whether it holds `what`.

    Raises:
        AlaeError: it is a file, cannot be reached, or holds something else.
    """
    where = f"{flag}={path}"
    try:
        if path.exists() and not path.is_dir():
            raise AlaeError(f"{where}: is a file; give a directory.")
        names = [entry.name for entry in path.iterdir()] if path.exists() else []
    except OSError as error:
        raise AlaeError(f"{where}: {error.strerror}; give another directory.") from None
    if (path / mark).exists():
        return True
    if any(not name.endswith(PARTIAL) and not ignored(name) for name in names):
        kind = what.partition(" ")[2]
        raise AlaeError(f"{where}: holds files but no {kind}; give a new or empty directory.")
    return False


def check_output(flag: str, path: Path, overwrite: bool) -> None:
    """Tells, before any work, whether a file can be written.

    Args:
        flag: that names it, as "--out".
        path: the file.
        overwrite: whether one that is there may be replaced.

    Raises:
        AlaeError: it is a directory, its directory is not there or closed, or it is there.
    """
    where = f"{flag}={path}"
    if path.is_dir():
        raise AlaeError(f"{where}: is a directory; name a file.")
    if not path.resolve().parent.is_dir():
        raise AlaeError(f"{where}: its directory does not exist.")
    if not os.access(path.resolve().parent, os.W_OK):
        raise AlaeError(f"{where}: its directory cannot be written to.")
    if path.exists() and not overwrite:
        raise AlaeError(f"{where}: is there already; --overwrite replaces it.")
