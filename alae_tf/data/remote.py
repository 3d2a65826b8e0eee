"""Images in storage: copied to this machine, or, as TFRecords, read by ranges."""

from collections.abc import Mapping
from pathlib import Path

from alae_tf.cloud.copies import Copy
from alae_tf.cloud.ranges import RemoteFile
from alae_tf.cloud.storage import Entry, Storage, StorageError
from alae_tf.data.prepared import FILE, MANIFEST, PLAN

# Files beside TFRecords that are copied, by name or ending.
SMALL_FILES = (MANIFEST, PLAN)
ENDINGS = (".npy", ".labels")


def listing(url: str) -> tuple[Storage, dict[str, Entry]]:
    """A folder in storage and its files, at least one. Raises StorageError."""
    storage = Storage("--data", url)
    entries = storage.list()
    if not entries:
        raise StorageError(storage.where, f"{url} holds no file; it should hold the images")
    return storage, entries


def copied(url: str) -> Path:
    """The local copy of a folder, with all its files, brought up to date. Raises StorageError."""
    return _copy(*listing(url), "data")


def located(url: str) -> tuple[Storage, str | None, dict[str, Entry]]:
    """(a folder in storage, the prefix of a set if the URL ends with one, the folder's files)."""
    storage = Storage("--data", url)
    if entries := storage.list():
        return storage, None, entries
    parent, _, prefix = url.rstrip("/").rpartition("/")
    storage, entries = listing(parent)
    return storage, prefix, entries


def records(url: str) -> tuple[Path, str | None, dict[str, RemoteFile]]:
    """A folder of TFRecords, or one set in it if the URL ends with its prefix: (a local copy of the
    small files beside the TFRecords, the prefix, the TFRecords by name). Raises StorageError if the
    folder is empty or cannot be read."""
    storage, prefix, entries = located(url)
    files = {
        name: RemoteFile(storage, name, entry)
        for name, entry in entries.items()
        if FILE.fullmatch(name) and "/" not in name
    }
    small = {
        name: entry
        for name, entry in entries.items()
        if name in SMALL_FILES or ("/" not in name and name.endswith(ENDINGS))
    }
    return _copy(storage, small, "records"), prefix, files


def _copy(storage: Storage, entries: Mapping[str, Entry], kind: str) -> Path:
    copy = Copy(storage.url, kind)
    with copy.locked():
        copy.download(storage, entries, lambda name: True)
        copy.path.mkdir(parents=True, exist_ok=True)
    return copy.path
