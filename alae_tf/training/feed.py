"""Batches of images, divided among the replicas of a strategy."""

from __future__ import annotations

from collections.abc import Iterator

import tensorflow as tf

from alae_tf import data
from alae_tf.config import Config
from alae_tf.data import Source
from alae_tf.training.strategy import worker_index, workers


def feed(
    strategy: tf.distribute.Strategy, source: Source, config: Config, level: int, start: int
) -> Iterator:
    """Endless batches for the step at a level; each process reads its own part of every batch.

    The strategies' own iterators are avoided: they use TensorFlow's GeneratorDataset, which on
    Python 3.11 stops glibc's malloc from keeping large blocks, in the whole process. Every tensor
    above 128 KiB is then mapped, zeroed page by page and unmapped in every iteration; the MLP
    trained at three quarters of its speed, with XLA at half of it.

    Returns:
        Iterator of uint8 [batch, H, W, C] as per-replica values; `start`: images seen before the
        first batch.
    """
    count = workers(strategy)
    local = strategy.num_replicas_in_sync // count  # replicas of this process
    batches = data.batches(
        source,
        config.level_resolution(level),
        config.batch_size(level),
        seed=config.seed,
        start=start,
        flip=config.flip,
        worker=worker_index(strategy),
        workers=count,
    )
    for pixels in batches:
        parts = iter(tf.split(pixels, local))
        yield strategy.experimental_distribute_values_from_function(lambda _, p=parts: next(p))
