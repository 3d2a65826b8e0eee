"""Growing: images seen → level and blend.

Pure functions of numbers. A level starts and ends at a whole number of images; its last batch may
run past its end by less than one batch.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

from alae_tf.config import Config, by_level


class Stage(NamedTuple):
    """A level, and how far it is faded in."""

    level: int  # 0 is 4×4 pixels
    blend: float  # in [0, 1], how much of the level's own layers is faded in


@dataclasses.dataclass(frozen=True)
class Growth:
    """The plan of a growing run (paper, section 5; the fading is ProGAN's)."""

    # Images at each level; the last entry holds for all further levels, except that the last level
    # lasts until `total`.
    images_by_level: tuple[int, ...]
    levels: int
    total: int  # length of the whole run in images; a shorter run does not reach the top level
    first: int = 0  # the level at the start; above 0 in a run that begins with trained weights
    fades: bool = False  # whether the first level fades in; otherwise it begins with blend 1

    @classmethod
    def of(cls, config: Config, dataset_size: int) -> Growth:
        """The growth of a config on a data set of `dataset_size` training images."""
        return cls(
            tuple(max(1, round(epochs * dataset_size)) for epochs in config.epochs_by_level),
            config.levels,
            max(1, round(config.epochs * dataset_size)),
        )

    def start(self, level: int) -> int:
        """Images seen when `level` starts."""
        return sum(by_level(self.images_by_level, lower) for lower in range(self.first, level))

    def stop(self, level: int) -> int:
        """Images seen when `level` ends."""
        last = level == self.levels - 1
        return self.total if last else min(self.total, self.start(level + 1))

    def faded_in(self, level: int) -> int:
        """Images seen when the blend of `level` reaches 1."""
        half = math.ceil(0.5 * by_level(self.images_by_level, level)) if level > 0 else 0
        return self.start(level) + half

    def at(self, images_seen: int) -> Stage:
        """The stage after `images_seen` images (0 or more). The blend is ½ − ½cos(πt) over the
        level's first half, then 1; in a level that does not fade, it is 1."""
        if images_seen < 0:
            raise ValueError(f"images_seen: got {images_seen}, expected 0 or more")
        levels = range(self.first, self.levels)
        level = max(level for level in levels if self.start(level) <= images_seen)
        if level == self.first and not self.fades:
            return Stage(level, 1.0)
        half = 0.5 * by_level(self.images_by_level, level)
        t = min(1.0, (images_seen - self.start(level)) / half)
        return Stage(level, 0.5 - 0.5 * math.cos(math.pi * t))

    def path(self, images_seen: int) -> tuple[Stage, list[int]]:
        """The past of a run: where it is, and the start of each of its levels so far."""
        stage = self.at(images_seen)
        return stage, [self.start(level) for level in range(self.first, stage.level + 1)]

    def end(self, batch_size: Callable[[int], int], images_seen: int = 0) -> int:
        """Images seen when a run ends that has seen `images_seen`, given that no batch is cut.
        `batch_size`: level → images in a batch."""
        while images_seen < self.total:
            level = self.at(images_seen).level
            batch = batch_size(level)
            images_seen += -(-(self.stop(level) - images_seen) // batch) * batch
        return images_seen
