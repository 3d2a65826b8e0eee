"""A .zip or an uncompressed .tar file, read as a folder without being unpacked."""

import abc
import io
import os
import posixpath
import stat
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from alae_tf.data.source import DataError, some
from alae_tf.images.files import is_hidden, sort_out

# Limit on an image file in an archive, which is read into memory: about the size of the largest
# accepted image without compression.
MOST_BYTES = 2**29
HEAD = 2**18  # bytes in which most image files have their size
AGAIN = "Copy or download it again."


class Member(NamedTuple):
    """A file in an archive."""

    name: str  # as stored
    size: int  # bytes, not compressed
    place: Any  # where the archive finds it
    is_regular: bool  # rather than a link or a device


class Archive(abc.ABC):
    """The image files in an archive, found as `alae_tf.images.files.walk` finds those in a folder.

    Nothing is written to disk. Names that are absolute or contain ".." are read as if the archive
    were the root directory. The folders that contain everything, for example "faces" in faces.zip,
    are not part of the names, unless images lie directly in them. Links and devices are ignored; of
    several files of the same name the last is used, as after unpacking.

    Several threads, and processes that were forked, may read at once.

    Attributes:
        names: the names of the image files, sorted.
        others: the number of files of other types by extension; see `walk`.
        notes: what was ignored, for messages.

    Raises:
        DataError: the archive is damaged, encrypted, or a compressed tar.
    """

    def __init__(self, path: Path):
        self.path = path
        self.notes: list[str] = []
        last: dict[str, Member] = {}
        repeated = []
        for member in self._members():
            name = posixpath.normpath(f"/{member.name}").lstrip("/")
            if name and not any(map(is_hidden, name.split("/"))):
                repeated += [name] if name in last else []
                last[name] = member
        links = [name for name, member in last.items() if not member.is_regular]
        images, self.others = sort_out(last.keys() - set(links))
        repeated = [name for name in dict.fromkeys(repeated) if name in images]
        if links:
            self.notes.append(f"{len(links):,} links or devices are ignored: {some(links)}")
        if repeated:
            count = f"{len(repeated):,} names occur several times"
            self.notes.append(f"{count}; the last file of each is used: {some(repeated)}")
        outer = _outer(images)
        self._images = {name.removeprefix(outer): last[name] for name in images}
        self.names = sorted(self._images)

    def open(self, name: str, whole: bool = True) -> BinaryIO:
        """An image file, or with `whole` false its first `HEAD` bytes, in memory.

        Raises an exception of one of several types if it cannot be read.
        """
        member = self._images[name]
        if member.size > MOST_BYTES:
            raise ValueError(f"its {member.size:,} bytes are too many")
        whole = whole or name.lower().endswith((".tif", ".tiff"))  # the size may stand at the end
        return io.BytesIO(self._read(member, member.size if whole else min(member.size, HEAD)))

    @abc.abstractmethod
    def _members(self) -> Iterator[Member]:
        """All members but folders, in order. Raises DataError, see the class."""

    @abc.abstractmethod
    def _read(self, member: Member, size: int) -> bytes:
        """The first bytes of a file."""


class Zip(Archive):
    """A .zip file. See `Archive`."""

    def __init__(self, path: Path):
        self._opened: dict[int, tuple[zipfile.ZipFile, threading.Lock]] = {}
        super().__init__(path)

    def _members(self) -> Iterator[Member]:
        try:
            infos = self._file()[0].infolist()
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
            raise DataError(f"{self.path} is damaged or cut short ({error}). {AGAIN}") from None
        for info in infos:
            if info.flag_bits & 1:
                what = f"{self.path} is encrypted ({info.filename})"
                raise DataError(f"{what}. Unpack it with its password, and name the folder.")
            if not info.is_dir():
                name = info.filename.replace("\\", "/")  # as some programs on Windows write
                kind = stat.S_IFMT(info.external_attr >> 16)
                yield Member(name, info.file_size, info, kind in (0, stat.S_IFREG))

    def _file(self) -> tuple[zipfile.ZipFile, threading.Lock]:
        """This process' own handle and lock: forked processes would share the file's position, and
        might inherit a lock that another thread held."""
        process = os.getpid()
        if process not in self._opened:
            self._opened[process] = zipfile.ZipFile(self.path), threading.Lock()
        return self._opened[process]

    def _read(self, member: Member, size: int) -> bytes:
        file, lock = self._file()
        with lock, file.open(member.place) as opened:
            return opened.read(size)  # a whole file is compared with its checksum


class Tar(Archive):
    """An uncompressed .tar file. See `Archive`."""

    def _members(self) -> Iterator[Member]:
        try:
            with open(self.path, "rb") as file:
                with tarfile.open(fileobj=file, mode="r:") as tar:
                    for info in tar:
                        if info.size < 0:  # tarfile would read the same headers forever
                            raise tarfile.ReadError(f"{info.name}: a size below 0")
                    members = tar.getmembers()
                    file.seek(tar.offset)
                end = file.read(tarfile.BLOCKSIZE)
                if end.strip(b"\0"):  # tarfile takes any damaged header for the end
                    raise tarfile.ReadError(f"no header at byte {tar.offset:,}")
                if not end:
                    self.notes.append("it has no end mark, and may be cut short")
        except (tarfile.TarError, OSError, ValueError, EOFError) as error:
            why = f"is damaged, cut short or compressed ({error}). {AGAIN} If it is compressed"
            raise DataError(f"{self.path} {why}, unpack it, or use a .zip.") from None
        for info in members:
            if not info.isdir():
                regular = info.isreg() and not info.issparse()
                yield Member(info.name, info.size, info.offset_data, regular)

    def _read(self, member: Member, size: int) -> bytes:
        with open(self.path, "rb") as file:  # not shared by threads or processes
            file.seek(member.place)
            data = file.read(size)
        if len(data) < size:
            raise EOFError(f"{self.path} is cut short")
        return data


KINDS: dict[str, type[Archive]] = {".zip": Zip, ".tar": Tar}


def _outer(images: list[str]) -> str:
    """The folders that contain all images and hold none directly, with a final slash; or ""."""
    folders = {posixpath.dirname(name) for name in images}
    outer = posixpath.commonpath(folders) if folders else ""
    if outer in folders:
        outer = posixpath.dirname(outer)
    return outer and f"{outer}/"
