"""A folder in storage: listing, reading and writing its files, each whole or not at all."""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from alae_tf.system.errors import AlaeError
from alae_tf.system.files import PARTIAL, TEMPORARY, write_atomic

# Stores in which a file appears when its upload is complete; in others, for example of file:// and
# sftp://, it is written under a temporary name and renamed.
WHOLE = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss")
VERSION = ("ETag", "etag", "generation", "md5Hash", "LastModified", "mtime", "created")
HOW = "install the extra: pip install 'alae-tf[cloud]'"
SMALL = 2**26  # bytes of a file that is read into memory before it is uploaded


class StorageError(AlaeError):
    """Storage cannot be used; `why` is the message without the flag and the URL."""

    def __init__(self, where: str, why: str):
        super().__init__(f"{where}: {why}.")
        self.why = why


class UploadFailed(AlaeError):
    """The output of a command could not be uploaded; its local copy is whole."""

    exit_code = 1


class Entry(NamedTuple):
    """A file in storage; its version changes with its content."""

    size: int  # bytes
    version: str


class Storage:
    """A folder in storage.

    Args:
        flag: the flag that names it, for example "--run_dir".
        url: for example s3://bucket/folder. The folder need not exist, but its bucket must.

    Names of files are relative to the folder, with slashes.

    Raises:
        StorageError: from each method, after a few attempts, if the storage does not answer,
            refuses access or lacks the bucket; on creation, if the URL is of an unknown kind or a
            package is missing.
    """

    def __init__(self, flag: str, url: str):
        self.url, self.where = url.rstrip("/"), f"{flag}={url}"
        protocol, _, path = url.partition("://")
        self._whole = protocol.lower() in WHOLE
        if not path.strip("/"):
            raise StorageError(self.where, "names no bucket or folder")
        if {".", ".."} & {*self.url.split("/")}:
            raise StorageError(self.where, "a part of it is . or ..; write the folder's own URL")
        try:
            import fsspec

            self._fs, root = fsspec.url_to_fs(self.url, use_listings_cache=False)
        except ImportError as error:
            raise StorageError(self.where, f"{error}; {HOW}") from None
        except ValueError as error:
            known = "s3://, gs://, and the others that fsspec knows"
            raise StorageError(self.where, f"{error}; a URL begins with {known}") from None
        except Exception as error:  # some connect at once
            raise StorageError(self.where, _why(error, "")) from None
        if hasattr(self._fs, "retries"):  # s3fs repeats what botocore has repeated five times
            self._fs.retries = 2
        self._root = root.rstrip("/")

    def list(self, below: str = "") -> dict[str, Entry]:
        """All files in the folder and its subfolders, or in one subfolder, by name."""
        with self._told():
            self._fs.invalidate_cache()
            found = self._fs.find(self._path(below).rstrip("/"), detail=True)
        entries = {}
        for path, info in found.items():
            if path == self._root:
                raise StorageError(self.where, "is a file; give a folder")
            name = path.removeprefix(f"{self._root}/")
            if name and not name.endswith("/") and not TEMPORARY.fullmatch(name.rpartition("/")[2]):
                version = next((str(info[key]) for key in VERSION if info.get(key)), "")
                entries[name] = Entry(int(info["size"]), version)
        return entries

    def read(self, name: str, start: int | None = None, end: int | None = None) -> bytes:
        """The bytes of a file, or those from `start` up to `end`."""
        with self._told(name):
            return self._fs.cat_file(self._path(name), start=start, end=end)

    def download(self, name: str, entry: Entry, path: Path) -> None:
        """Writes a file to a path of this machine, completely or not at all. Raises OSError if this
        machine's disk is full."""

        def get(file) -> None:
            with self._told(name):
                self._fs.get_file(self._path(name), file.name)
                size = os.path.getsize(file.name)
                if size != entry.size:
                    raise EOFError(f"{size:,} of {entry.size:,} bytes arrived")

        write_atomic(path, get)

    def upload(self, path: Path, name: str) -> None:
        """Writes a file of this machine to storage, completely or not at all."""
        if path.stat().st_size <= SMALL:  # it may grow during the upload
            return self.write(name, path.read_bytes())
        with self._told(name), self._placed(name) as target:
            self._fs.put_file(str(path), target)

    def write(self, name: str, data: bytes) -> None:
        """Writes a file, completely or not at all."""
        with self._told(name), self._placed(name) as target:
            self._fs.pipe_file(target, data)

    def create(self, name: str, data: bytes) -> bool:
        """Writes a file unless it exists; returns whether it was written. Of several processes at
        most one writes it, if the store has conditional writes, as S3 and Google's have."""
        with self._told(name):
            try:
                self._make_parent(name)
                self._fs.pipe_file(self._path(name), data, mode="create")
            except FileExistsError:
                return False
        return True

    def delete(self, name: str) -> None:
        """Deletes a file, if it exists."""
        with self._told(name), contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._path(name))

    @contextlib.contextmanager
    def _placed(self, name: str) -> Iterator[str]:
        """The path to which to write a file, which is then renamed if necessary."""
        parent, path = self._make_parent(name), self._path(name)
        temporary = f"{parent}/.alae-{secrets.token_hex(8)}{PARTIAL}"
        yield path if self._whole else temporary
        if not self._whole:
            self._fs.mv(temporary, path)

    def _make_parent(self, name: str) -> str:
        parent = self._path(name).rpartition("/")[0]
        if not self._whole:
            self._fs.makedirs(parent, exist_ok=True)
        return parent

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextlib.contextmanager
    def _told(self, name: str = "") -> Iterator[None]:
        """Turns errors into StorageError; fsspec's file systems and their libraries raise many."""
        try:
            yield
        except StorageError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise
            raise StorageError(self.where, _why(error, name)) from error


def _why(error: Exception, name: str) -> str:
    kind, (first, _, rest) = type(error).__name__, str(error).partition("\n")
    text = (f"{first} {rest}" if first.endswith(":") else first).partition("\n")[0].rstrip(".")
    of = f"{name}: " if name else ""
    if isinstance(error, FileNotFoundError):
        return f"{of}does not exist; create the bucket, or correct the URL ({text})"
    if isinstance(error, PermissionError):
        return f"{of}access is refused; check the credentials and their rights ({text})"
    if "Credential" in kind or "credential" in text:
        return f"{of}no credentials; docs/storage.md says where to set them ({text})"
    return f"{of}{kind}: {text}" if text else f"{of}{kind}"
