"""What a run tells of itself: rows of metrics.csv, TensorBoard, the progress bar."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence

import numpy as np
from tqdm import tqdm

from alae_tf.runs.directory import RunDirectory
from alae_tf.training.events import Events
from alae_tf.training.faults import full_disk_as_such
from alae_tf.training.progress import Progress
from alae_tf.training.reach import Reach


class Recorder:
    """Writes what happened since the last row.

    Args:
        progress: the run's.
        directory: where to.
        reach: writes there.

    Until `open` nothing is written or shown.
    """

    def __init__(self, progress: Progress, directory: RunDirectory, reach: Reach):
        self._run, self._directory, self._reach = progress, directory, reach
        self._events = Events(directory.tensorboard)
        self._bar = tqdm(disable=True)
        self._since, self._images = time.monotonic(), 0
        self._measured: dict[str, float] = {}  # since the row before

    def open(self, measured: Sequence[str] = ()) -> None:
        """Begins to record. What the directory holds beyond the run's `images_seen` is dropped,
        since it will be recorded again.

        Args:
            measured: names of what `measured` will tell.

        Raises:
            OSError: it cannot be written.
        """
        run = self._run
        losses = [f"loss_{update.name}" for update in run.trainer.updates]
        self._directory.metrics.rewind(run.images_seen, losses, measured)
        with full_disk_as_such():
            self._events.open(run.images_seen)
        self._bar = tqdm(
            total=run.growth.end(run.config.batch_size, run.images_seen),
            initial=run.images_seen,
            unit="img",
            unit_scale=True,
            mininterval=0.5 if sys.stderr.isatty() else 30,
        )
        self._begin()

    def _begin(self) -> None:
        """Times the next row from here."""
        self._since, self._images, self._run.waited = time.monotonic(), 0, 0.0

    def count(self, images: int) -> None:
        """Moves the bar on by the images of one iteration."""
        self._images += images
        self._bar.update(images)

    def measured(self, values: Mapping[str, float]) -> None:
        """Records what the run measured of itself, for the next row too."""
        self._measured |= values
        self._reach(lambda: self._events.scalars(self._run.images_seen, values))

    def row(self) -> dict[str, float] | None:
        """Records the means since the row before, and returns them; None if there are none."""
        run = self._run
        means = run.means.take()
        if means is None:
            return None
        seconds = time.monotonic() - self._since
        row = {
            "images_seen": run.images_seen,
            "level": run.level,
            "blend": run.blend,
            **{f"loss_{name}": value for name, value in means.items()},
            "learning_rate": run.config.learning_rate(run.level),
            "images_per_second": self._images / seconds,
            "data_wait": run.waited / seconds,
        }
        scale = run.trainer.loss_scale
        extra = {} if scale is None else {"loss_scale": scale.value.numpy()}

        self._directory.metrics.add(row | self._measured)
        self._measured = {}

        def write() -> None:
            self._directory.metrics.write()
            self._events.scalars(run.images_seen, row | extra)

        self._reach(write)
        texts = {name: f"{value:.3f}" for name, value in means.items()}
        where = {"level": run.level, "blend": f"{run.blend:.2f}"}
        self._bar.set_postfix(where | texts, refresh=False)
        self._begin()
        return row

    def image(self, grid: np.ndarray) -> None:
        """Records a sample grid, uint8 [H, W, C]."""
        self._reach(lambda: self._events.image(self._run.images_seen, grid))

    def flush(self) -> None:
        """Makes sure that everything is on disk."""
        self._reach(self._events.flush)

    def close(self) -> None:
        """Ends the bar."""
        self._bar.close()
