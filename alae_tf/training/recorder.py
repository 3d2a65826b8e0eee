"""The record of a run: rows of metrics.csv, TensorBoard, the progress bar."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tqdm import tqdm

from alae_tf.runs.directory import RunDirectory
from alae_tf.system.files import write_atomic
from alae_tf.training.progress import Progress
from alae_tf.training.reach import Reach, full_disk_as_oserror

BUILDING = "building_seconds"  # column of metrics.csv: time spent on building graphs


class Recorder:
    """Records losses, speed, measurements and sample grids; until `open` nothing is written or
    shown."""

    def __init__(self, progress: Progress, directory: RunDirectory, reach: Reach):
        self._progress, self._directory, self._reach = progress, directory, reach
        self._writer = tf.summary.create_noop_writer()
        self._bar = tqdm(disable=True)
        self._measured: dict[str, float] = {}  # since the last row
        self._begin()

    def open(self, measured: Sequence[str] = ()) -> None:
        """Begins to record; `measured` names the values that the method of that name will record.

        Records beyond the run's `images_seen` are dropped, since they will be recorded again.
        Raises OSError if the directory cannot be written.
        """
        progress = self._progress
        losses = [f"loss_{update.name}" for update in progress.trainer.updates]
        columns = [BUILDING] if progress.trainer.augment is None else [BUILDING, "augment_p"]
        self._directory.metrics.rewind(progress.images_seen, losses, [*columns, *measured])
        with full_disk_as_oserror():
            self._writer = event_writer(self._directory.tensorboard, progress.images_seen)
        self._bar = tqdm(
            total=progress.growth.end(progress.config.batch_size, progress.images_seen),
            initial=progress.images_seen,
            unit="img",
            unit_scale=True,
            mininterval=0.5 if sys.stderr.isatty() else 30,
        )
        self._begin()

    def _begin(self) -> None:
        self._since, self._images = time.monotonic(), 0
        self._progress.reset_clock()

    def count(self, images: int) -> None:
        """Adds the images of one iteration."""
        self._images += images
        self._bar.update(images)

    def measured(self, values: Mapping[str, float]) -> None:
        """Records metrics, now in TensorBoard and with the next row in metrics.csv."""
        self._measured |= values
        self._reach(lambda: self._scalars(values))

    def _scalars(self, values: Mapping[str, float]) -> None:
        with self._writer.as_default(step=self._progress.images_seen):
            for name, value in values.items():
                tf.summary.scalar(name, value)

    def row(self) -> dict[str, float] | None:
        """Records and returns the means since the last row; None if there are none."""
        progress = self._progress
        means = progress.means.take()
        if means is None:
            return None
        seconds, images = time.monotonic() - self._since, self._images
        if images > progress.built:  # iterations that built a graph do not count towards the speed
            seconds, images = seconds - progress.building, images - progress.built
        row = {
            "images_seen": progress.images_seen,
            "level": progress.level,
            "blend": progress.blend,
            **{f"loss_{name}": value for name, value in means.items()},
            "learning_rate": progress.config.learning_rate(progress.level),
            "images_per_second": images / seconds,
            "data_wait": progress.waited / seconds,
            BUILDING: progress.building,
        }
        scale, augment = progress.trainer.loss_scale, progress.trainer.augment
        extra = {} if scale is None else {"loss_scale": scale.value.numpy()}
        if augment is not None:
            row["augment_p"] = float(augment.p.numpy())
        self._directory.metrics.add(row | self._measured)
        self._measured = {}

        def write() -> None:
            self._directory.metrics.write()
            self._scalars(row | extra)

        self._reach(write)
        texts = {name: f"{value:.3f}" for name, value in means.items()}
        where = {"level": progress.level, "blend": f"{progress.blend:.2f}"}
        self._bar.set_postfix(where | texts, refresh=False)
        self._begin()
        return row

    def image(self, grid: np.ndarray) -> None:
        """Records a sample grid, uint8 [H, W, C]."""

        def write() -> None:
            with self._writer.as_default(step=self._progress.images_seen):
                tf.summary.image("samples", grid[np.newaxis])

        self._reach(write)

    def flush(self) -> None:
        self._reach(self._writer.flush)

    def close(self) -> None:
        self._bar.close()


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
