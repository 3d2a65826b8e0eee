"""TensorBoard's events: scalars and sample grids by images seen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from alae_tf.system.files import write_atomic


class Events:
    """The event files of a run; each process that trains in it adds a file.

    Args:
        folder: the run's `tensorboard/`.

    Until `open` nothing is recorded.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._writer = tf.summary.create_noop_writer()

    def open(self, images_seen: int) -> None:
        """Starts a file for a run that continues after `images_seen` images.

        Later events in earlier files are dropped, since they will be recorded again.
        """
        for path in self._folder.glob("events.out.tfevents.*"):
            if path.is_file():
                _drop_later(path, images_seen)
        self._writer = tf.summary.create_file_writer(str(self._folder))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Records numbers."""
        with self._writer.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(name, value)

    def image(self, step: int, image: np.ndarray) -> None:
        """Records a sample grid, uint8 [H, W, C]."""
        with self._writer.as_default(step=step):
            tf.summary.image("samples", image[np.newaxis])

    def flush(self) -> None:
        """Writes everything to disk."""
        self._writer.flush()


def _drop_later(path: Path, images_seen: int) -> None:
    """Rewrites an event file without events after `images_seen` and without a truncated record. A
    file that does not begin with an event is left unchanged."""
    kept, whole = [], True
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            later = tf.compat.v1.Event.FromString(record).step > images_seen
            whole = whole and not later
            if not later:
                kept.append(record)
    except (tf.errors.DataLossError, DecodeError):  # a kill cut its last record short
        whole = False
    if whole or not kept:
        return

    def write(file: BinaryIO) -> None:
        with tf.io.TFRecordWriter(file.name) as writer:
            for record in kept:
                writer.write(record)

    write_atomic(path, write)
