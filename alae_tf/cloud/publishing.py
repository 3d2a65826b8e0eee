"""`--out` of a command that may be a URL: the command writes into a local copy, which is uploaded
when it is complete."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from alae_tf.cloud.copies import Copy, Rank
from alae_tf.cloud.lease import Lease, LeaseLost
from alae_tf.cloud.storage import Entry, Storage, StorageError, UploadFailed
from alae_tf.system.errors import AlaeError
from alae_tf.system.urls import is_url

Wanted = Callable[[str], bool]  # name → whether the command needs the file


def check_content(storage: Storage, copy: Copy, what: str, mark: str) -> dict[str, Entry]:
    """The listing of a folder. Raises StorageError if it holds something other than a command's
    output: no `mark`, but files that are neither hidden nor from this copy."""
    entries = storage.list()
    if mark not in entries and not all(n.startswith(".") or copy.knows(n) for n in entries):
        raise StorageError(storage.where, f"holds files but no {what}; give a new or empty folder")
    return entries


@contextlib.contextmanager
def opened(
    out: Path | str, what: str, mark: str, rank: Rank, wanted: Wanted | None = None
) -> Iterator[tuple[Path, Callable[[], None]]]:
    """The directory to write into, and a function that uploads it.

    A path of this machine is returned as it is, with a function that does nothing. A folder in
    storage is leased; its local copy is deleted after the upload, but kept if the upload fails.
    Errors within the block name the URL instead of the copy, and also the copy if it holds a begun
    output of which storage has nothing.

    The content, `what`, is recognised by the file `mark` and uploaded in the order of `rank`. If
    the copy has no `mark`, the `wanted` files are downloaded at first; None: all files, unless an
    earlier upload failed. Raises AlaeError if the storage cannot be read or written, another
    process writes to it, or it has other content, and UploadFailed from the function.
    """
    if not is_url(out):
        yield Path(out), lambda: None
        return
    storage, copy = Storage("--out", str(out)), Copy(str(out), what)
    try:
        copy.lock()
    except BlockingIOError:
        raise StorageError(storage.where, "another process is writing to it") from None
    lease = Lease(storage, copy.id, "writing to it")
    uploaded = False
    try:
        lease.take()
        entries = check_content(storage, copy, what, mark)
        copy.forget(entries, lambda name: True)
        if wanted is not None and mark in entries and (copy.path / mark).exists():
            if storage.read(mark) != (copy.path / mark).read_bytes():
                copy.set_aside()
        begun = (copy.path / mark).exists()
        if not (begun if wanted else copy.continues(mark, entries.get(mark))):
            copy.download(storage, entries, wanted or (lambda name: True))
        copy.path.mkdir(parents=True, exist_ok=True)

        def upload() -> None:
            nonlocal uploaded
            try:
                lease.check()
                copy.upload(storage, rank)
            except (StorageError, LeaseLost) as error:
                why = getattr(error, "why", "another process has taken the folder")
                kept = f"the files are kept in {copy.path}; the same command uploads them"
                raise UploadFailed(f"{storage.where}: {why}; {kept}.") from None
            uploaded = True

        begun = begun and mark not in entries
        try:
            yield copy.path, upload
        except UploadFailed:  # names the copy
            raise
        except AlaeError as error:
            held = f"\n  It is not uploaded yet; its files are in {copy.path}." if begun else ""
            error.args = (str(error).replace(str(copy.path), storage.url) + held,)
            raise
    finally:
        lease.give_back(forget=True)
        if uploaded:
            copy.remove()
        copy.unlock()
