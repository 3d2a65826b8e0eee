"""Writing into a run directory that may be unreachable for a while."""

from __future__ import annotations

import errno
from collections.abc import Callable

import tensorflow as tf

from alae_tf.runs.directory import RunDirectory
from alae_tf.system.errors import report
from alae_tf.training.faults import AWAY, full_disk_as_such


class Reach:
    """Writes into a run directory; while it is unreachable, training continues without.

    Args:
        directory: the run's.

    Attributes:
        away: bool. Whether it could not be reached the last time.

    Call:
        write: what is to be done in the directory.
        Returns whether it could be done. Reports once that the directory is unreachable, and once
        that it is reachable again.

    Raises:
        OSError: it cannot be written for another reason, as a full disk.
        AlaeError: another run stands in its place.
    """

    def __init__(self, directory: RunDirectory):
        self.directory = directory
        self.away = False

    def __call__(self, write: Callable[[], object]) -> bool:
        where = f"--run_dir={self.directory.path}"
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
                report(
                    "train", f"{where}: {why}; training continues, and saves once it is reachable."
                )
            self.away = True
            return False
        if self.away:
            report("train", f"{where}: is reachable again.")
        self.away = False
        return True
