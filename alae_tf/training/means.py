"""The mean losses since the last row of metrics.csv, and the check that losses are finite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from alae_tf.runs.checkpoint import NonFiniteError
from alae_tf.training.optimizer import LossScale

MIN_LOSS_SCALE = 2.0**-10  # of float16; with a smaller one, training does not recover


class Means:
    """Sums of the losses of a run's updates.

    The losses of an iteration are read only when the next one has started, so that a GPU does not
    wait for Python.
    """

    def __init__(self, names: Sequence[str], loss_scale: LossScale | None):
        self.names, self.loss_scale = tuple(names), loss_scale
        self.clear()
        self._pending: tuple[int, Mapping[str, tf.Tensor]] | None = None

    def clear(self) -> None:
        self.sums = np.zeros(len(self.names))
        self.summed = 0  # iterations in `sums`

    def put(self, images_seen: int, losses: Mapping[str, tf.Tensor]) -> None:
        """Adds the losses of the iteration that began after `images_seen` images."""
        self.settle()
        self._pending = (images_seen, losses)

    def settle(self) -> None:
        """Reads the losses of the latest iteration; raises NonFiniteError if one is not finite."""
        if self._pending is None:
            return
        (images_seen, losses), self._pending = self._pending, None
        values = np.array([float(losses[name]) for name in self.names])
        if self.loss_scale is not None and not np.isfinite(values).all():
            if self.loss_scale.value.numpy() < MIN_LOSS_SCALE:
                raise NonFiniteError(
                    f"float16 overflows in every update at {images_seen:,} images; use "
                    "--precision=bfloat16"
                )
            return  # float16 skips updates whose gradients overflow
        for name, value in zip(self.names, values, strict=True):
            if not np.isfinite(value):
                raise NonFiniteError(f"loss_{name} is {value} after {images_seen:,} images")
        self.sums, self.summed = self.sums + values, self.summed + 1

    def take(self) -> dict[str, float] | None:
        """Returns the means and starts new sums; None if float16 skipped every update."""
        self.settle()
        if self.summed == 0:
            return None
        means = (self.sums / self.summed).tolist()
        self.clear()
        return dict(zip(self.names, means, strict=True))
