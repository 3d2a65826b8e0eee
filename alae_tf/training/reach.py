"""Writing into a run directory that may be unreachable for a while, or on a full disk."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator

import tensorflow as tf

from alae_tf.runs.directory import RunDirectory
from alae_tf.system.errors import report

# Errors of a network disk that is unreachable, and may come back.
UNREACHABLE = (
    errno.ENOENT,
    errno.EIO,
    errno.ENXIO,
    errno.ENODEV,
    errno.EROFS,
    errno.ESTALE,
    errno.ENOTCONN,
    errno.ETIMEDOUT,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
)


@contextlib.contextmanager
def full_disk_as_oserror() -> Iterator[None]:
    """Turns TensorFlow's error for a full disk, the same as for full memory, into an OSError."""
    try:
        yield
    except tf.errors.ResourceExhaustedError:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None


class Reach:
    """Writes into a run directory; while it is unreachable, training continues without writing.

    Attributes:
        away: whether the directory was unreachable at the last write.

    Call:
        write: writes into the directory.
        Returns whether it succeeded. Reports once that the directory is unreachable, and once that
        it is reachable again. Raises OSError if writing fails for another reason, for example a
        full disk, and RunTakenError if another run has taken the directory.
    """

    def __init__(self, directory: RunDirectory):
        self.directory, self.away = directory, False

    def __call__(self, write: Callable[[], object]) -> bool:
        where = self.directory.flag
        try:
            with full_disk_as_oserror():
                self.directory.require()
                write()
        except (OSError, tf.errors.OpError) as error:
            number = getattr(error, "errno", errno.EIO)
            if number not in UNREACHABLE or (number == errno.ENOENT and self.directory.there):
                raise
            if not self.away:
                why = getattr(error, "strerror", None) or "cannot be written"
                then = "training continues, and saves once it is reachable"
                report("train", f"{where}: {why}; {then}.")
            self.away = True
            return False
        if self.away:
            report("train", f"{where}: is reachable again.")
        self.away = False
        return True
