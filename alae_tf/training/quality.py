"""When a run is measured, and which of its checkpoints is the best."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from alae_tf.data import Source
from alae_tf.model.autoencoder import Autoencoder
from alae_tf.runs.directory import best_checkpoint
from alae_tf.training.progress import Progress

Measure = Callable[[Autoencoder], dict[str, float]]  # model → values by name
# (measure, name of each value → which values are better: "lower", "higher" or "neither")
Measurement = tuple[Measure, Mapping[str, str]]
MakeMeasure = Callable[[Source], Measurement | None]  # None: impossible with these images
SHARE = 0.05  # of the time that measurements may take
TIMES = 4  # measurements in a level, at most
GUESS = 20.0  # seconds that the first measurement is expected to take


class Quality:
    """Measures the EMA weights every --evaluate_images images, or as often as `SHARE` allows."""

    def __init__(self, progress: Progress, run_dir: Path, measure: Measurement | None):
        self._progress, self._run_dir = progress, run_dir
        self._measure, self.values = measure or (None, {})
        judges = (name for name, better in self.values.items() if better != "neither")
        self._judge = next(judges, "")
        self._spent, self._cost = 0.0, GUESS

    def open(self) -> None:
        self._begun, self._last = time.monotonic(), self._part()

    def due(self, before: int) -> bool:
        """Whether to measure now; `before`: images seen before the last iteration."""
        every, progress = self._progress.config.evaluate_images, self._progress
        if self._measure is None:
            return False
        if every > 0:
            return before // every != progress.images_seen // every
        if self._spent + self._cost > SHARE * (time.monotonic() - self._begun):
            return False
        part = self._part()
        return progress.finished or (part[1] > 0 and part > self._last)

    def _part(self) -> tuple[int, int]:
        """The level, and how many of its `TIMES` parts are over."""
        growth, seen = self._progress.growth, self._progress.images_seen
        level = growth.at(seen).level
        start = growth.start(level)
        return level, TIMES * (seen - start) // max(1, growth.stop(level) - start)

    def measure(self, model: Autoencoder) -> dict[str, float]:
        """The values of the EMA weights, by name. Errors of the metrics are not caught."""
        assert self._measure is not None
        begun, self._last = time.monotonic(), self._part()
        try:
            return self._measure(model)
        finally:
            self._cost = time.monotonic() - begun
            self._spent += self._cost

    def record(self, values: Mapping[str, float]) -> dict[str, Any] | None:
        """The entries of `best.json` for a checkpoint with these values; None if it is not the best
        so far.

        Values at different levels, or of different numbers of images, cannot be compared: the first
        checkpoint at a new level or number replaces the best.
        """
        value = values.get(self._judge, math.nan)
        if not math.isfinite(value):
            return None
        better = self.values[self._judge]
        about = {
            "images_seen": self._progress.images_seen,
            "level": self._progress.level,
            "value": self._judge,
            "is": value,
            "better": better,
            "count": self._progress.config.evaluate_count,
        }
        best = best_checkpoint(self._run_dir)
        alike = ("value", "level", "count")
        if best is None or any(best.get(name, about[name]) != about[name] for name in alike):
            return about
        won = value < best["is"] if better == "lower" else value > best["is"]
        return about if won else None
