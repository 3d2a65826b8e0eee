"""Safe output: files written whole, locks, and checks that protect the user's own files."""

import contextlib
import errno
import hashlib
import itertools
import os
import re
import secrets
import shutil
import signal
import stat
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from alae_tf.system.errors import AlaeError
from alae_tf.system.urls import refuse_url

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None

PARTIAL = ".partial"  # suffix of a file that is being written
TEMPORARY = re.compile(r"\.alae-[0-9a-f]{16}\.partial")  # this module's temporary names
# Errors of file systems without locks, for example some network disks.
NO_LOCKS = (errno.EBADF, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)


def write_atomic(path: Path, data: bytes | Callable[[BinaryIO], object]) -> None:
    """Writes a file completely or not at all: under a temporary name, then renamed.

    `data` may be a function that writes the content into the open file. If the path is a symbolic
    link, the link itself is replaced. Raises OSError, with this path, if the disk is full,
    unreachable or write-protected; the old file is unchanged.
    """
    try:
        with temporary_file(path.parent) as file:
            data(file) if callable(data) else file.write(data)
            file.flush()
            os.fsync(file.fileno())
            if fcntl is None:  # Windows cannot rename open files
                file.close()
            os.replace(file.name, path)
    except OSError as error:
        error.filename, error.filename2 = str(path), None  # not the temporary name
        raise


@contextlib.contextmanager
def temporary_file(folder: Path) -> Iterator[BinaryIO]:
    """A new file in a folder, open for writing; deleted at the end unless it was renamed."""
    path = _temporary(folder)
    file = open(path, "xb")  # does not follow links; respects the umask
    try:
        with file:
            _lock(file.fileno(), wait=True)  # protects it from `sweep`
            yield file
    finally:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """A new folder in `parent`; deleted at the end, also on SIGTERM."""
    path = _temporary(parent)
    with _stopped_by_sigterm():
        path.mkdir(0o700)
        descriptor = os.open(path, os.O_RDONLY)
        try:
            _lock(descriptor, wait=True)  # protects it from `sweep`
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
            os.close(descriptor)


def sweep(folder: Path) -> None:
    """Deletes the temporary files and folders that killed processes left in a folder.

    Deletes only this module's own, by name, and only if no process locks them. Empty ones stay,
    because they may be new and not locked yet. On file systems without locks, all stay.
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


def _lock(descriptor: int, wait: bool = False) -> bool:
    """Locks an open file or folder; returns False if the system or the disk has no locks. If
    another process holds the lock, waits for it, or, without `wait`, raises BlockingIOError."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return False
    return True


@contextlib.contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Turns SIGTERM into SystemExit with code 143, unless the program handles the signal."""
    in_main = threading.current_thread() is threading.main_thread()
    ours = in_main and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


class Lock(contextlib.AbstractContextManager):
    """A lock file that one process at a time holds; the system releases it when that process ends.

    Creates the file if it is missing; does not follow links. Raises BlockingIOError if another
    process holds the lock, and AlaeError if the operating system has no file locks.
    """

    def __init__(self, path: Path):
        if fcntl is None:
            need = "training and export need Linux or macOS (on Windows: WSL 2)"
            raise AlaeError(f"{path}: cannot be locked on {sys.platform}; {need}.")
        self._path = path
        while True:
            flags = os.O_APPEND | os.O_CREAT | os.O_WRONLY  # keeps what the holder wrote into it
            safe = os.O_NOFOLLOW | os.O_NONBLOCK  # does not wait for the reader of a pipe
            self._file = os.fdopen(os.open(path, flags | safe, 0o666), "ab")
            try:
                _lock(self._file.fileno())
            except OSError:
                self._file.close()
                raise
            if self.holds:
                return
            self._file.close()  # the previous holder has just deleted the file: try again

    @property
    def holds(self) -> bool:
        """Whether the file is still at its path. If not, another process can lock a new file."""
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), os.lstat(self._path))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Releases the lock."""
        self._file.close()

    def __exit__(self, *error: object) -> None:
        self.release()


def unused(path: Path) -> Path:
    """The path; if it exists, the path with the first free number, for example a-2.csv."""
    numbered = (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(2))
    return next(each for each in itertools.chain([path], numbered) if not os.path.lexists(each))


def member(folder: Path, name: str, follow: bool = True) -> Path:
    """The path of a file that a table or manifest names, in the folder that must contain it.

    If the file is a link, `follow` it for reading, but not for renaming and deleting. Raises
    ValueError if the name is absolute, or leads out of the folder, perhaps through a link.
    """
    path, whole = folder / name, os.path.realpath(folder)
    unfollowed = os.path.normpath(os.path.join(os.path.realpath(path.parent), path.name))
    inside = os.path.realpath(path) if follow else unfollowed
    within = inside != whole and os.path.commonpath([inside, whole]) == whole
    if os.path.isabs(name) or "\0" in name or not within:
        raise ValueError(f"{name!r} is outside {folder}")
    return path


def unchanged(folder: Path, written: Mapping[str, Collection[str | None]]) -> set[str]:
    """The names of files in a folder that nobody changed since a command wrote them: each has one
    of the SHA-256 sums that were recorded by its name. Links are not followed."""
    found = set()
    for name, sums in written.items():
        with contextlib.suppress(OSError, ValueError):
            path = member(folder, name, follow=False)
            if stat.S_ISREG(path.lstat().st_mode) and sha256(path) in sums:
                found.add(name)
    return found


def contains(path: Path, mark: bytes) -> bool:
    """Whether a regular file contains these bytes, which show what wrote it. Links are not
    followed."""
    return path.is_file() and not path.is_symlink() and mark in path.read_bytes()


def png_mark(software: str) -> bytes:
    """Bytes in each PNG file whose text `Software` says that this software wrote it."""
    return f"tEXtSoftware\0{software}".encode()


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def replacements(
    source: Path, names: Collection[str], folder: Path, old: Collection[str], aside: Path
) -> list[tuple[Path, Path]]:
    """Plans the moves by which new files or folders, `source` / name, replace old ones; see `move`.

    The `old` files that exist in `folder` are moved to the folder `aside`; all three folders are on
    one disk. Raises AlaeError if a new file would replace something that `old` does not list, or if
    a name leads out of the folder.
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
            raise AlaeError(f"{blocked[0]}: was not written by an earlier run; move it away.")
    leaving = [(targets[name], aside / name) for name in old if os.path.lexists(targets[name])]
    return leaving + [(source / name, targets[name]) for name in names]


def move(moves: Sequence[tuple[Path, Path]]) -> None:
    """Renames all files or none; creates missing folders and deletes those left empty. Raises
    OSError if a file cannot be renamed; the renames before it are undone."""
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
        with contextlib.suppress(OSError):  # ends at the first folder that is not empty
            for parent in before.parents:
                parent.rmdir()


def expanded(path: str | os.PathLike[str]) -> Path:
    """The path with a leading ~ expanded; raises AlaeError if the user has no home directory."""
    found = Path(os.path.expanduser(path))
    if found.parts[:1] == ("~",):
        why = "~ is unknown, since there is no home directory; give the whole path"
        raise AlaeError(f"{path}: {why}.")
    return found


def check_length(flag: str, path: Path) -> None:
    """Raises AlaeError if the path, which need not exist, or a name in it is too long for the file
    system."""
    there = _existing(path.parent)
    for each in (path, *(there / name for name in path.parts)):
        try:
            os.lstat(each)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise AlaeError(f"{flag}={path}: {error.strerror}; give a shorter path.") from None


def _existing(path: Path) -> Path:
    """The path, or the innermost of its parents that exists."""
    return next(each for each in (path, *path.absolute().parents) if os.path.lexists(each))


def check_directory(flag: str, path: Path, what: str, mark: str) -> bool:
    """Whether a directory holds a command's output already; checks, without writing, that the
    command may write into it.

    The directory, which `flag` names, need not exist. Its content is `what`, for example "export",
    if it has the file `mark`. Raises AlaeError if it is a URL, it or a parent is a file or
    read-only, it is unreachable, or has other content that is not hidden.
    """
    where = f"{flag}={path}"
    refuse_url(flag, path)
    check_length(flag, path / mark)
    there = _existing(path)
    try:
        if not there.is_dir():
            what = "a link to nothing" if there.is_symlink() else "a file"
            raise AlaeError(f"{where}: {there} is {what}; give another directory.")
        if not os.access(there, os.W_OK | os.X_OK):
            raise AlaeError(f"{where}: {there} is read-only; give another directory.")
        names = [entry.name for entry in path.iterdir()] if path.exists() else []
    except OSError as error:
        raise AlaeError(f"{where}: {error.strerror}; give another directory.") from None
    if (path / mark).exists():
        return True
    if not all(name.startswith(".") or name.endswith(PARTIAL) for name in names):
        raise AlaeError(f"{where}: holds files but no {what}; give a new or empty directory.")
    return False


def check_output(flag: str, path: Path, overwrite: bool) -> None:
    """Checks, before any work, that a file can be written. Raises AlaeError if it is a directory
    or a URL, exists without `overwrite`, or its directory is missing or read-only; the message
    names the flag."""
    refuse_url(flag, path)
    check_length(flag, path)
    folder = Path(os.path.realpath(path)).parent  # `resolve` fails on links in a circle
    faults = {
        "is a directory; name a file": path.is_dir(),
        "its directory does not exist": not folder.is_dir(),
        "its directory is read-only": not os.access(folder, os.W_OK),
        "exists; --overwrite replaces it": path.exists() and not overwrite,
    }
    for fault, found in faults.items():
        if found:
            raise AlaeError(f"{flag}={path}: {fault}.")
