"""The random numbers of an iteration: z, noise and style mixing."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from alae_tf.config import Config
from alae_tf.networks.alae import ALAE
from alae_tf.training import augment


class Draw(NamedTuple):
    """The random numbers of one update.

    Attributes:
        z: float32 [N, latent].
        noise: the noise maps of `Generator`, or None. All examples share the first map.
        z_mixed: float32 [N, latent], the z of the mixed-in styles; None for no style mixing.
        cutoff: int32 scalar, index of the first mixed-in style, the same for all examples.
        augment_real: float32 [N, NUMBERS], the numbers of `Augmentation` for real images; None for
            no augmentation.
        augment_fake: the same for generated images.
    """

    z: tf.Tensor
    noise: list[tf.Tensor] | None = None
    z_mixed: tf.Tensor | None = None
    cutoff: tf.Tensor | None = None
    augment_real: tf.Tensor | None = None
    augment_fake: tf.Tensor | None = None

    def of_examples(self, part) -> Draw:
        """The draw with `part` applied to each tensor that has one row per example."""
        names = ("z", "z_mixed", "augment_real", "augment_fake")
        parts = {name: part(x) for name in names if (x := getattr(self, name)) is not None}
        noise = self.noise and [self.noise[0], *map(part, self.noise[1:])]
        return self._replace(noise=noise, **parts)


def draw(config: Config, alae: ALAE, level: int, batch: int, seed: tf.Tensor, mixes: bool) -> Draw:
    """Draws for one update of a global batch of `batch` images, with a seed int64 [2]; `mixes`:
    whether the update may mix styles."""
    seeds = tf.random.split(seed, 5)
    z, z_mixed = (
        tf.random.stateless_normal([batch, config.latent_size], seeds[i]) for i in range(2)
    )
    drawn = Draw(z, alae.noise("random", batch, level, seeds[2]))
    if config.augment != "none":
        real, fake = (
            tf.random.stateless_uniform([batch, augment.NUMBERS], tf.random.fold_in(seed, i))
            for i in range(2)
        )
        drawn = drawn._replace(augment_real=real, augment_fake=fake)
    if not mixes or config.styles == 1 or config.style_mixing == 0:
        return drawn
    active = 2 * (level + 1)
    cutoff = tf.random.stateless_uniform([], seeds[3], 1, active + 1, tf.int32)
    mixing = tf.random.stateless_uniform([], seeds[4]) < config.style_mixing
    return drawn._replace(z_mixed=z_mixed, cutoff=tf.where(mixing, cutoff, active))
