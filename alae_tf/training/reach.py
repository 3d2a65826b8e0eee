"""Writing into a run directory that may be away for a while."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable

import tensorflow as tf
from tqdm import tqdm

from alae_tf.runs.directory import RunDirectory
from alae_tf.training.faults import AWAY, full_disk_as_such


class Reach:
    """Writes into a run directory; while that is away, a run goes on without.

    Args:
        directory: the run's.

    Attributes:
        away: bool. Whether it could not be reached the last time.

    Call:
        write: what is to be done in the directory.
        Returns whether it could be done; says once that the directory is away, and once that it is
        back.

    Raises:
        OSError: it cannot be written for another reason, as a full disk.
        AlaeError: another run stands in its place.
    """

    def __init__(self, directory: RunDirectory):
        self.directory = directory
        self.away = False

    def __call__(self, write: Callable[[], object]) -> bool:
        where = f"train: --run_dir={self.directory.path}"
        try:
            with full_disk_as_such():
                self.directory.require()
                write()
        except (OSError, tf.errors.OpError) as error:
            number = getattr(error, "errno", errno.EIO)
            if number not in AWAY or (number == errno.ENOENT and self.directory.there):
                raise
            if not self.away:
                why = getattr(error, "strerror", None) or "cannot be written"
                say(f"{where}: {why}; training goes on and saves when it is back.")
            self.away = True
            return False
        if self.away:
            say(f"{where}: is back.")
        self.away = False
        return True


def say(message: str) -> None:
    """Prints a line on stderr above the progress bar."""
    tqdm.write(message, file=sys.stderr)
