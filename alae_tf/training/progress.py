"""The state of a run between two iterations, and the iteration that advances it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import tensorflow as tf

from alae_tf.config import Config
from alae_tf.data import DataError, Source
from alae_tf.system.errors import reason
from alae_tf.training.feed import feed
from alae_tf.training.means import Means
from alae_tf.training.schedule import Growth
from alae_tf.training.trainer import Trainer


class Progress:
    """The state of a run between two iterations; `alae_tf.train` and `alae_tf.benchmark` use it.

    Attributes:
        trainer, growth: the networks with their step, and the plan of levels.
        level: int, or −1 before `enter_level`.
        waited: seconds spent waiting for images.
        building: seconds of iterations that first built a graph.
        built: images in those iterations.
    """

    def __init__(self, config: Config, source: Source, strategy: tf.distribute.Strategy):
        self.config, self.source, self.strategy = config, source, strategy
        self.trainer = Trainer(config, strategy)
        self.growth = Growth.of(config, len(source))
        self.means = Means([each.name for each in self.trainer.updates], self.trainer.loss_scale)
        self.images_seen, self.level = 0, -1
        self.reset_clock()
        self._batches: Iterator = iter(())
        self._stop: tf.Tensor | None = None

    def reset_clock(self) -> None:
        self.waited, self.building, self.built = 0.0, 0.0, 0

    @property
    def blend(self) -> float:
        """The blend of the current level; 1 at its very end."""
        stage = self.growth.at(self.images_seen)
        return stage.blend if stage.level == self.level else 1.0

    @property
    def finished(self) -> bool:
        return self.images_seen >= self.growth.total

    @property
    def stop(self) -> bool:
        """Whether a worker had been asked to stop at the last iteration."""
        return self._stop is not None and float(self._stop) > 0

    def enter_level(self, level: int) -> None:
        """Switches images and learning rate to a level."""
        self.level = level
        self.trainer.set_learning_rate(level)
        self._batches = feed(self.strategy, self.source, self.config, level, self.images_seen)

    def take(self, asked: bool = False) -> int:
        """One iteration; returns its number of images. `asked`: whether this worker has been asked
        to stop.

        Raises:
            DataError: an image cannot be read; nothing has changed.
            NonFiniteError: a loss of the previous iteration is not finite.
        """
        blend = self.growth.at(self.images_seen).blend
        begun = time.monotonic()
        try:
            pixels = next(self._batches)
        except tf.errors.OpError as error:
            raise DataError(f"{reason(error.message)}.") from None
        self.waited += time.monotonic() - begun
        batch, traces = self.config.batch_size(self.level), sum(self.trainer.traces.values())
        begun = time.monotonic()
        losses = self.trainer.step(pixels, self.level, self.images_seen, blend, asked)
        if sum(self.trainer.traces.values()) > traces:
            self.building += time.monotonic() - begun
            self.built += batch
        self.means.put(self.images_seen, losses)
        self._stop = losses["stop"]
        self.images_seen += batch
        return batch
