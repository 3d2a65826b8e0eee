"""A lease on a folder in storage: at most one process writes to it.

Files `.lease/NNNNNNNNNNNN` hold JSON. The one with the highest number is the lease in force; its
holder renews it with another `beat`. To take a lease, a process creates the file with the next
number, which storage with conditional writes lets only one process do. It may do so if the lease in
force has been given back, if its own local copy took it (the copy's lock on this machine shows that
the holder has ended), or if the lease has not been renewed for `seconds()`, by the clock of the
process that waits. Limits: a write that was on its way when a lease expired still arrives, and
storage without conditional writes can give a lease to two processes in the same moment.
"""

import contextlib
import json
import platform
import threading
import time
from typing import Any

from alae_tf.cloud.storage import Storage, StorageError
from alae_tf.system import schema
from alae_tf.system.environment import number_from
from alae_tf.system.errors import AlaeError, report

FOLDER = ".lease/"
CONTENT = {"owner": str, "host": str, "beat": int, "given_back": bool}


def seconds() -> float:
    """Seconds without renewal after which a lease expires."""
    return number_from("ALAE_TF_LEASE_SECONDS", 60)


class LeaseLost(Exception):
    """Another process has taken the lease."""


class Lease:
    """The lease on a folder.

    Args:
        storage: the folder.
        owner: identifies the local copy that takes the lease.
        doing: what its holder does, for messages, for example "training in it".

    Attributes:
        lost: whether another process has taken the lease.
    """

    def __init__(self, storage: Storage, owner: str, doing: str):
        self.lost = False
        self._storage, self._owner, self._doing = storage, owner, doing
        self._number, self._beat = 0, 0
        self._ended, self._thread = threading.Event(), None

    def owner(self) -> str | None:
        """Which local copy took the lease last; None if none did."""
        content = self._newest()[1]
        return content["owner"] if content else None

    def take(self) -> str | None:
        """Takes the lease; returns which local copy had it before. Waits for it to expire if its
        holder does not renew it. Raises AlaeError if another process holds it."""
        number, content = self._newest()
        if content and not content["given_back"] and content["owner"] != self._owner:
            number, content = self._wait(number, content)
        self._number = number + 1
        created = self._storage.create(self._name(self._number), self._content())
        if not created or self._newest()[0] != self._number:
            raise self._taken("another process")
        for old in self._numbers():
            if old < self._number:
                self._storage.delete(self._name(old))
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()
        return content["owner"] if content else None

    def check(self) -> None:
        """Raises LeaseLost if another process has taken the lease."""
        self.lost = self.lost or max(self._numbers(), default=0) > self._number
        if self.lost:
            raise LeaseLost

    def give_back(self, forget: bool = False) -> None:
        """Ends the lease, if it was taken; `forget` also deletes its file, which otherwise still
        says whose copy is the newest."""
        if self._thread is None:
            return
        self._ended.set()
        self._thread.join()
        self._thread = None
        with contextlib.suppress(StorageError, LeaseLost):  # it expires
            self.check()
            if forget:
                self._storage.delete(self._name(self._number))
            else:
                self._storage.write(self._name(self._number), self._content(given_back=True))

    def _wait(self, number: int, content: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Waits until a lease has expired or is given back; returns the lease then in force."""
        what = f"the lease of {content['host']} to expire"
        report(self._storage.where, f"waits up to {seconds():g} s for {what}.")
        begun = time.monotonic()
        while time.monotonic() - begun < seconds():
            time.sleep(min(1.0, seconds() / 10))
            now, newest = self._newest()
            if newest and newest["given_back"]:
                return now, newest
            if (now, newest) != (number, content):
                raise self._taken(content["host"])
        return number, content

    def _renew(self) -> None:
        while not (self.lost or self._ended.wait(seconds() / 4)):
            with contextlib.suppress(StorageError, LeaseLost):  # storage is tried again
                self.check()
                self._beat += 1
                self._storage.write(self._name(self._number), self._content())

    def _numbers(self) -> list[int]:
        names = [name.removeprefix(FOLDER) for name in self._storage.list(FOLDER)]
        return [int(name) for name in names if name.isdecimal()]

    def _newest(self) -> tuple[int, dict[str, Any] | None]:
        """The number and the content of the lease in force; (0, None) without any."""
        number = max(self._numbers(), default=0)
        if not number:
            return 0, None
        try:
            return number, schema.parse(self._storage.read(self._name(number)), CONTENT)
        except ValueError as error:
            raise StorageError(self._storage.where, f"{self._name(number)}: {error}") from None

    def _content(self, given_back: bool = False) -> bytes:
        values = (self._owner, platform.node(), self._beat, given_back)
        return json.dumps(dict(zip(CONTENT, values, strict=True))).encode()

    def _name(self, number: int) -> str:
        return f"{FOLDER}{number:012}"

    def _taken(self, who: str) -> AlaeError:
        return StorageError(self._storage.where, f"{who} is {self._doing}")
