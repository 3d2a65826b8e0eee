"""How training ends when it cannot continue: a message for each kind of error."""

from __future__ import annotations

import tensorflow as tf

from alae_tf.cloud.storage import UploadFailed
from alae_tf.runs.checkpoint import NonFiniteError
from alae_tf.runs.directory import RunTakenError
from alae_tf.system.errors import reason, told


class LostImages(Exception):
    """An image can no longer be read; the run has been saved."""


def _first_line(error: Exception) -> str:
    return (str(error) or "in Python").splitlines()[0]


def _of_files(error: OSError, run) -> str:
    where = run.directory.flag
    if run.reach.away:
        return f"{where}: is unreachable; its checkpoints are kept."
    return f"{'' if error.filename else f'{where}: '}{told(error)}. {run.saver.kept()}"


def _of_tensorflow(error: tf.errors.OpError, run) -> str:
    lost = " Did another worker stop? Start all of them again." if run.workers > 1 else ""
    return f"{reason(error.message)}.{lost} {run.saver.kept()}"


# The first class that matches an error gives the message.
MESSAGES = {
    NonFiniteError: lambda error, run: (
        f"{error}. {run.saver.kept()} Lower --learning_rate_by_level before continuing."
    ),
    MemoryError: lambda error, run: f"out of memory ({_first_line(error)}). {run.saver.kept()}",
    tf.errors.ResourceExhaustedError: lambda error, run: (
        "out of memory; raise --accumulate or try a smaller --batch_by_level "
        f"({_first_line(error)}). {run.saver.kept()}"
    ),
    tf.errors.OpError: _of_tensorflow,
    LostImages: lambda error, run: f"{error} {run.saver.kept()}",
    RunTakenError: lambda error, run: str(error),
    UploadFailed: lambda error, run: str(error),
    OSError: _of_files,
}


def message(error: Exception, run) -> str:
    """The message for the user when an error of a class in `MESSAGES` ends a run.

    Args:
        error: the error.
        run: the `Run` of the loop.
    """
    return next(make for kind, make in MESSAGES.items() if isinstance(error, kind))(error, run)
