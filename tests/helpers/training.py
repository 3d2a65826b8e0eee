"""A few iterations of training, and the comparison of two trainers."""

import numpy as np
import tensorflow as tf

from alae_tf.training.trainer import Trainer


def pixels(config, level, count):
    """Random images at a level: uint8 [count, H, W, 1]."""
    side = config.level_resolution(level)
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 1), np.uint8)


def assert_same_weights(one, two):
    """All but a few entries agree: Adam divides by |gradient|, which may be rounding noise."""
    off = total = 0
    for trainer in (one, two):
        assert all(np.isfinite(v).all() for v in trainer.alae.variables)
    for a, b in zip(
        [*one.alae.variables, *one.ema.variables],
        [*two.alae.variables, *two.ema.variables],
        strict=True,
    ):
        a, b = a.numpy(), b.numpy()
        off += (np.abs(a - b) > 2e-4 * max(1e-3, np.abs(a).max())).sum()
        total += a.size
    assert off < 0.005 * total


def train(config, strategy, images, level, steps=2):
    """A trainer after some iterations on the same images, and the losses of each."""
    trainer = Trainer(config, strategy)
    trainer.set_learning_rate(level)
    if config.architecture == "style":
        # The uniform constant that a run starts from leaves rounding noise for gradients.
        constant = trainer.alae.G.constant
        constant.assign(np.random.default_rng(0).standard_normal(constant.shape))
    data = tf.data.Dataset.from_tensors(images).repeat()
    batches = iter(trainer.strategy.experimental_distribute_dataset(data))
    losses = [
        trainer.step(next(batches), level, i * len(images), 0.5 + 0.1 * i) for i in range(steps)
    ]
    return trainer, [{name: float(v) for name, v in loss.items()} for loss in losses]
