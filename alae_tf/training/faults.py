"""What disks say that are away or full."""

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
