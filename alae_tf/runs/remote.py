"""A run directory in storage: a local copy, which training downloads at its start and uploads with
each checkpoint."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

from alae_tf.cloud.copies import Copy, merge_lines
from alae_tf.cloud.lease import Lease
from alae_tf.cloud.publishing import check_content
from alae_tf.cloud.storage import Entry, Storage, StorageError, UploadFailed
from alae_tf.cloud.uploader import Uploader
from alae_tf.system.errors import report
from alae_tf.system.urls import is_url

CONFIG, RESULTS, FOLDER, BEST = "config.cfg", "results.jsonl", "checkpoints/", "best.json"
HASTE_SECONDS = 6.0  # for the last uploads of a run that an error ended


def is_read(name: str) -> bool:
    """Whether commands read a file."""
    return not name.startswith(("samples/", "tensorboard/"))


def rank(name: str) -> int:
    """The order of uploads. Records precede the checkpoint: a run that continues from a checkpoint
    drops later records, but cannot recreate missing ones."""
    if name == CONFIG:
        return 0
    if not name.startswith(FOLDER):
        return 1
    return 3 if name.endswith(BEST) else 2


def newest(names: list[str]) -> list[str]:
    """The newest checkpoint among some files."""
    return sorted(name for name in names if rank(name) == 2 and name.endswith(".npz"))[-1:]


def read_copy(url: str, flag: str) -> Path | None:
    """A local copy of a run for reading, as it is now in storage; None if the folder holds no run.
    Raises StorageError if the storage cannot be read."""
    storage = Storage(flag, url)
    entries = storage.list()
    if CONFIG not in entries:
        return None
    copy = Copy(url, "read")
    with copy.locked():
        copy.download(storage, entries, is_read)
    return copy.path


def share_results(run_dir: str | Path, path: Path) -> None:
    """Uploads results.jsonl, to which a command has added lines, if the run is in storage. Raises
    StorageError if the storage cannot be written."""
    if is_url(run_dir):
        merge_lines(Storage("--run_dir", str(run_dir)), RESULTS, path)


class RemoteRun:
    """The part of `RunDirectory` that is different for a URL.

    Args:
        url: the URL of the run.
        kind: "run" for the process that writes the run; other processes have copies of their own.
    """

    def __init__(self, url: str, kind: str = "run"):
        self.url, self._copy = url, Copy(url, kind)
        self.path = self._copy.path  # the local copy
        self._lease: Lease | None = None
        self._uploader: Uploader | None = None
        self._gave_up = False

    @functools.cached_property
    def storage(self) -> Storage:
        """The folder; the first use imports fsspec."""
        return Storage("--run_dir", self.url)

    def follow(self) -> None:
        """Downloads the run into the copy of a process that does not write."""
        with self._copy.locked():
            self._copy.download(self.storage, self.storage.list(), is_read)

    def fetch(self) -> None:
        """Brings the local copy to the newest state of the run, and locks it for this process.

        If storage was last written from this copy, the copy is at least as new: a killed run may
        not have uploaded everything. Otherwise the run is downloaded; files that were never
        uploaded are set aside first. Raises AlaeError if another process of this machine trains in
        the copy, or the storage cannot be read or holds something other than a run.
        """
        if self._lease is not None:
            return
        try:
            self._copy.lock()
        except BlockingIOError:
            raise StorageError(self.storage.where, "another process is training in it") from None
        try:
            entries = check_content(self.storage, self._copy, "run", CONFIG)
            self._lease = Lease(self.storage, self._copy.id, "training in it")
            if self._lease.owner() != self._copy.id:
                self._download(entries)
            else:
                self._copy.forget(entries, lambda name: rank(name) != 1)
                self._copy.restore(self.storage, entries)
        except BaseException:
            self.close()
            raise

    def _download(self, entries: Mapping[str, Entry]) -> None:
        if changed := self._copy.changed():
            aside = self._copy.set_aside()
            report(
                self.storage.where,
                f"was continued or replaced elsewhere. {len(changed)} files of the local copy had "
                f"not been uploaded; they are kept in {aside}.",
            )
        self._copy.download(self.storage, entries, lambda name: True)

    def open(self) -> None:
        """Takes the lease, and uploads what a killed run did not. Raises AlaeError if another
        process holds the lease, or the storage cannot be written."""
        assert self._lease is not None
        try:
            if self._lease.take() != self._copy.id:
                self._download(self.storage.list())
            self._upload()
        except BaseException:
            self.close()
            raise
        self._uploader = Uploader("train", self.storage.where, self._upload)

    def _upload(self) -> None:
        assert self._lease is not None
        self._lease.check()
        if RESULTS in self._copy.changed():
            merge_lines(self.storage, RESULTS, self.path / RESULTS)
        self._copy.upload(self.storage, rank, newest, self._is_outdated)

    def _is_outdated(self, name: str) -> bool:
        """Whether training deleted this file from the copy, and not something else."""
        here = [path.name for path in (self.path / FOLDER).glob("*.npz")]
        return newest([name]) == [name] and name.removeprefix(FOLDER) < max(here, default="")

    @property
    def lost(self) -> bool:
        """Whether another process has taken the lease."""
        return bool(self._lease and self._lease.lost or self._uploader and self._uploader.lost)

    def publish(self) -> None:
        if self._uploader is not None:
            self._uploader.ask()

    def finish(self, patience: Callable[[], float]) -> None:
        """Waits until everything is uploaded. Raises UploadFailed after attempts have failed for
        `patience()` seconds."""
        if self._uploader is None or self._uploader.finish(patience) or self.lost:
            return
        error, self._gave_up = self._uploader.failure, True
        why = getattr(error, "why", None) or str(error)
        raise UploadFailed(
            f"{self.storage.where}: {why}. All of the run is kept in {self.path}; the same command "
            "on this machine uploads it and continues."
        )

    def close(self) -> None:
        """Ends uploads, gives the lease back, and unlocks the copy."""
        if self._uploader is not None:
            try:
                if not self._gave_up:
                    self.finish(lambda: HASTE_SECONDS)
            except UploadFailed as error:
                report("train", str(error))
            self._uploader.close()
            self._uploader = None
        if self._lease is not None:
            self._lease.give_back()
            self._lease = None
        self._copy.unlock()
