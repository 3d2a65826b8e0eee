"""How training ends when it cannot continue: a message for each kind of error."""

from __future__ import annotations

import tensorflow as tf

from alae_tf.cloud.storage import UploadFailed
from alae_tf.runs.checkpoint import NonFiniteError
from alae_tf.runs.directory import RunTakenError
from alae_tf.system.errors import reason, told


class LostImages(Exception):
    """An image can no longer be read; the run has been saved."""


ERRORS = (
    NonFiniteError,
    MemoryError,
    tf.errors.OpError,
    OSError,
    LostImages,
    RunTakenError,
    UploadFailed,
)


def message(error: Exception, run) -> str:
    """The message for the user when one of `ERRORS` ends a `Run` of the loop."""
    if isinstance(error, RunTakenError | UploadFailed):
        return str(error)
    if isinstance(error, OSError):
        where = run.directory.flag
        if run.reach.away:
            return f"{where}: is unreachable; its checkpoints are kept."
        why = f"{'' if error.filename else f'{where}: '}{told(error)}."
    elif isinstance(error, NonFiniteError):
        return f"{error}. {run.saver.kept()} Lower --learning_rate_by_level before continuing."
    elif isinstance(error, MemoryError | tf.errors.ResourceExhaustedError):
        why = "out of memory"
        if isinstance(error, tf.errors.OpError):
            why += "; raise --accumulate or try a smaller --batch_by_level"
        why += f" ({(str(error) or 'in Python').splitlines()[0]})."
    elif isinstance(error, tf.errors.OpError):
        lost = " Did another worker stop? Start all of them again." if run.workers > 1 else ""
        why = f"{reason(str(error))}.{lost}"
    else:
        why = str(error)
    return f"{why} {run.saver.kept()}"
