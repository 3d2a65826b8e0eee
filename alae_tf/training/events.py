"""TensorBoard's events: scalars and sample grids by images seen."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import tensorflow as tf
from google.protobuf.message import DecodeError

from alae_tf.system.files import write_atomic


def event_writer(folder: Path, images_seen: int) -> tf.summary.SummaryWriter:
    """Starts an event file for a run that continues after `images_seen` images.

    Later events in earlier files are dropped, since they will be recorded again.
    """
    for path in folder.glob("events.out.tfevents.*"):
        if path.is_file():
            _drop_later(path, images_seen)
    return tf.summary.create_file_writer(str(folder))


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
