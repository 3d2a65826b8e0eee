"""TensorBoard's view of a run: scalars and sample grids by images seen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
import tensorflow as tf

from alae_tf.system.files import write_atomic


class Events:
    """The event files of a run; a new one for every process that trains in it.

    Args:
        folder: the run's `tensorboard/`.

    Until `open` nothing is recorded.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._writer = tf.summary.create_noop_writer()

    def open(self, images_seen: int) -> None:
        """Starts a file for a run that goes on after `images_seen` images.

        What is recorded beyond that is dropped: it will be recorded again, and a graph must not
        double back.
        """
        for path in self._folder.glob("events.out.tfevents.*"):
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
        """Makes sure that everything is on disk."""
        self._writer.flush()


def _drop_later(path: Path, images_seen: int) -> None:
    """Rewrites an event file without the events after `images_seen` and without a torn end."""
    kept, whole = [], True
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            later = tf.compat.v1.Event.FromString(record).step > images_seen
            whole = whole and not later
            if not later:
                kept.append(record)
    except tf.errors.DataLossError:  # a kill cut its last record short
        whole = False
    if whole:
        return

    def write(file: BinaryIO) -> None:
        with tf.io.TFRecordWriter(file.name) as writer:
            for record in kept:
                writer.write(record)

    write_atomic(path, write)
