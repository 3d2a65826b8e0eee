"""What disks and TensorFlow say when something is at fault, put plainly."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

import tensorflow as tf

# What a network disk says that is away, and may come back.
AWAY = (
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
def full_disk_as_such() -> Iterator[None]:
    """TensorFlow calls a full disk an exhausted resource, as it does memory: an OSError instead."""
    try:
        yield
    except tf.errors.ResourceExhaustedError:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None


def reason(message: str) -> str:
    """The line of TensorFlow's message that says why, without the stack around it."""
    around = ("Graph execution error", "Detected at", "<stack traces")
    own = message.rpartition("DataError: ")[2]  # raised by a source, inside tf.data
    if own != message:
        return own.splitlines()[0].rstrip(". ")
    lines = [line for line in message.splitlines() if line.strip() and not line[0].isspace()]
    return next((line for line in lines if not line.startswith(around)), message).rstrip(". ")
