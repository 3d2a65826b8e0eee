"""Uploads in the background, repeated for as long as storage is unreachable."""

import contextlib
import threading
import time
from collections.abc import Callable

from alae_tf.cloud.lease import LeaseLost
from alae_tf.cloud.storage import StorageError
from alae_tf.system.errors import report

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds between two attempts, doubled each time


class Uploader:
    """A thread that uploads when asked to.

    Args:
        who: the command, for messages.
        where: flag and URL, likewise.
        upload: uploads everything that has changed. Raises StorageError, LeaseLost or OSError.

    Attributes:
        failure: why the last attempt failed; None after a success.
        lost: whether the lease was lost; nothing more is uploaded then.
    """

    def __init__(self, who: str, where: str, upload: Callable[[], None]):
        self.failure: Exception | None = None
        self.lost = False
        self._who, self._where, self._upload = who, where, upload
        self._asked = self._done = 0
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="upload", daemon=True)
        self._thread.start()

    def ask(self) -> None:
        """Asks for an upload of the present state; returns at once."""
        with self._changed:
            self._asked += 1
            self._changed.notify_all()

    def finish(self, patience: Callable[[], float]) -> bool:
        """Waits until everything asked for is uploaded; returns whether it is. Gives up once
        attempts have failed for `patience()` seconds; an upload that proceeds may take any time."""
        begun = time.monotonic()
        with self._changed:
            while self._done < self._asked and not self.lost:
                if self.failure is not None and time.monotonic() - begun > patience():
                    return False
                self._changed.wait(0.1)
        return not self.lost

    def close(self) -> None:
        """Ends the thread, after the attempt in progress."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    def _work(self) -> None:
        wait = FIRST_WAIT
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._asked > self._done)
                if self._closing:
                    return
                asked = self._asked
            try:
                self._upload()
            except LeaseLost:
                self.lost = True
                return
            except (StorageError, OSError) as error:
                if self.failure is None:
                    why = getattr(error, "why", None) or str(error)
                    then = f"{self._who} continues, and uploads once it is reachable"
                    with contextlib.suppress(OSError):
                        report(self._who, f"{self._where}: {why}; {then}.")
                self.failure = error
                with self._changed:
                    self._changed.wait_for(lambda: self._closing, wait)
                wait = min(2 * wait, LONGEST_WAIT)
                continue
            if self.failure is not None:
                report(self._who, f"{self._where}: is reachable again; everything is uploaded.")
            wait = FIRST_WAIT
            with self._changed:
                self.failure, self._done = None, asked
                self._changed.notify_all()
