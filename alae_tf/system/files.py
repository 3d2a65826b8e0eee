"""Files and folders that commands write: whole, locked, and never mistaken for the user's own.

No TensorFlow.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import signal
import stat
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from alae_tf.system.errors import AlaeError

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None

PARTIAL = ".partial"  # ends the name of a file that is being written
TEMPORARY = re.compile(r"\.alae-[0-9a-f]{16}\.partial")  # the names that this module gives
# What file systems without locks report, as some network disks.
NO_LOCKS = (errno.EBADF, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)


def write_atomic(path: Path, data: bytes | Callable[[BinaryIO], object]) -> None:
    """Writes a file whole or not at all: under a temporary name, then renamed.

    A link of that name is replaced, not followed.

    Args:
        path: the file.
        data: what to write, or a function that writes it into the open file.

    Raises:
        OSError: the disk is full, unreachable or write-protected; the file is as it was.
    """
    with temporary_file(path.parent) as file:
        data(file) if callable(data) else file.write(data)
        file.flush()
        os.fsync(file.fileno())
        if fcntl is None:  # Windows renames no open file
            file.close()
        os.replace(file.name, path)


@contextlib.contextmanager
def temporary_file(folder: Path) -> Iterator[BinaryIO]:
    """A new file in a folder, open for writing; deleted at the end unless it was renamed.

    Raises:
        OSError: it cannot be created.
    """
    path = _temporary(folder)
    file = open(path, "xb")  # follows no link; permissions as the umask says
    try:
        with file:
            _lock(file.fileno())  # so that `sweep` leaves it alone
            yield file
    finally:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """A new folder in `parent`; deleted at the end, after SIGTERM too.

    Raises:
        OSError: it cannot be created.
    """
    path = _temporary(parent)
    with _stopped_by_sigterm():
        path.mkdir(0o700)
        descriptor = os.open(path, os.O_RDONLY)
        try:
            _lock(descriptor)  # so that `sweep` leaves it alone
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
            os.close(descriptor)


def sweep(folder: Path) -> None:
    """Deletes the temporary files and folders that killed processes left in a folder.

    Only what bears a name of this module, and is locked by no process. Empty ones stay: they may
    have been created a moment ago and not be locked yet. Where locks do not work, all stay.
    """
    for path in folder.glob(f"*{PARTIAL}"):
        if not TEMPORARY.fullmatch(path.name):
            continue
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            is_folder = stat.S_ISDIR(path.lstat().st_mode)
            access = os.O_RDONLY if is_folder else os.O_RDWR
            descriptor = os.open(path, access | os.O_NOFOLLOW)
            stack.callback(os.close, descriptor)
            if not _lock(descriptor):
                continue
            if is_folder and any(path.iterdir()):
                shutil.rmtree(path)
            elif not is_folder and os.fstat(descriptor).st_size:
                path.unlink()


def _temporary(folder: Path) -> Path:
    return folder / f".alae-{secrets.token_hex(8)}{PARTIAL}"


def _lock(descriptor: int) -> bool:
    """Locks an open file or folder; False where the system or the disk has no locks.

    Raises:
        BlockingIOError: another process holds it.
    """
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return False
    return True


@contextlib.contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Lets SIGTERM, if it would kill, end the process by an exception: exit code 143."""

    def stop(number: int, frame: object) -> None:
        sys.exit(128 + number)

    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


class Lock:
    """A file that one process at a time holds; the system frees it when that process ends.

    Args:
        path: the file, created if missing; not a link.

    Raises:
        BlockingIOError: another process holds it.
        OSError: it cannot be created.
        AlaeError: the system has no such locks.
    """

    def __init__(self, path: Path):
        if fcntl is None:
            raise AlaeError(
                f"{path}: cannot be locked on {sys.platform}; training and export need Linux or "
                "macOS (on Windows: WSL 2). On-device encoding runs anywhere."
            )
        self._path = path
        while True:
            # What the holder wrote into it stays.
            self._file = open(path, "a", opener=_open_no_link)
            try:
                _lock(self._file.fileno())
            except OSError:
                self._file.close()
                raise
            if self.holds:
                return
            self._file.close()  # the last holder deleted it after it was opened here

    @property
    def holds(self) -> bool:
        """Whether the file is still at its path; without it, another process may lock a new one."""
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), os.lstat(self._path))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Leaves the lock to others."""
        self._file.close()

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def member(folder: Path, name: str, follow: bool = True) -> Path:
    """The path of a file that a table or manifest names, relative to a folder.

    Args:
        folder: it must lie in.
        name: as the table has it.
        follow: whether a file that is a link stands for its target, as in reading; False for
            what is renamed or deleted.

    Raises:
        ValueError: the name is absolute, or leads out of the folder by itself or through a link.
    """
    path, whole = folder / name, os.path.realpath(folder)
    if follow:
        inside = os.path.realpath(path)
    else:
        inside = os.path.normpath(os.path.join(os.path.realpath(path.parent), path.name))
    within = inside != whole and os.path.commonpath([inside, whole]) == whole
    if os.path.isabs(name) or "\0" in name or not within:
        raise ValueError(f"{name!r} is outside of {folder}")
    return path


def replacements(
    source: Path, names: Collection[str], folder: Path, old: Collection[str], aside: Path
) -> list[tuple[Path, Path]]:
    """Plans, for `move`, how new files or whole folders take the place of old files.

    Args:
        source: has the new ones, on the same disk.
        names: theirs, relative to `source` and to `folder`.
        folder: where they go.
        old: files that are to leave `folder`; those not there are ignored.
        aside: where the old ones go, on the same disk.

    Raises:
        AlaeError: something that is not in `old` has the name of a new one, or a name leads out of
            the folder.
    """
    try:
        targets = {name: member(folder, name, follow=False) for name in (*names, *old)}
    except ValueError as error:
        raise AlaeError(f"{error}; nothing was replaced.") from None
    for name, target in targets.items():
        parents = [folder / parent for parent in Path(name).parents[:-1]]
        blocked = [path for path in parents if os.path.lexists(path) and not path.is_dir()]
        if os.path.lexists(target) and (name not in old or target.is_dir()):
            blocked.append(target)
        if blocked:
            raise AlaeError(f"{blocked[0]}: not a file that an earlier run wrote; move it away.")
    leaving = [(targets[name], aside / name) for name in old if os.path.lexists(targets[name])]
    return leaving + [(source / name, targets[name]) for name in names]


def move(moves: Sequence[tuple[Path, Path]]) -> None:
    """Renames files in turn, creating folders and deleting those left empty; all or none.

    Raises:
        OSError: one cannot be renamed; those before it are back.
    """
    done: list[tuple[Path, Path]] = []
    try:
        for before, after in moves:
            after.parent.mkdir(parents=True, exist_ok=True)
            os.rename(before, after)
            done.append((before, after))
    except BaseException:
        for before, after in reversed(done):
            os.rename(after, before)
        raise
    for before, _ in moves:
        with contextlib.suppress(OSError):  # the first that holds something ends it
            for parent in before.parents:
                parent.rmdir()


def check_directory(
    flag: str,
    path: Path,
    what: str,
    mark: str,
    ignored: Callable[[str], bool] = lambda name: False,
) -> bool:
    """Checks, before any work and without writing, that a command may write into a directory.

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
