"""What a run's health is computed from: images, codes, logits and gradients at one moment."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from alae_tf.data import Source, evenly
from alae_tf.model.autoencoder import Autoencoder
from alae_tf.networks import ops
from alae_tf.training.progress import Progress
from alae_tf.training.trainer import fade_images

IMAGES = 32  # of each kind
PIXELS = IMAGES * 64**2  # computed at once
SEED = 20  # of the generated images


@dataclasses.dataclass
class Sample:
    """Images, codes and logits of a run at one moment, each computed at its first use.

    Attributes:
        x: training images, float32 [N, H, W, C] in [−1, 1].
        e: E(x) [N, latent].
        again: G(E(x)) [N, H, W, C].
        w: codes of generated images [IMAGES, latent].
        new: G(w), not clipped [IMAGES, H, W, C].
        recovered: E(G(w)) [IMAGES, latent].
    """

    progress: Progress
    model: Autoencoder  # the run's EMA weights
    train: np.ndarray  # training images, uint8 [N, H, W, C]
    test: np.ndarray | None  # held-out images
    begun: int  # images seen when the run began; more than 0 with imported weights

    x = functools.cached_property(lambda self: ops.to_unit(self.train).numpy())
    e = functools.cached_property(lambda self: self._encode(self.x))
    w = functools.cached_property(lambda self: self.model.sample_w(IMAGES, SEED))
    new = functools.cached_property(lambda self: self.model.decode(self.w, floats=True))
    recovered = functools.cached_property(lambda self: self._encode(self.new.clip(-1, 1)))

    @functools.cached_property
    def again(self) -> np.ndarray:
        codes = self.model.encode(self.train, layers=True)
        return self.model.decode(codes, floats=True)

    @functools.cached_property
    def logits(self) -> dict[str, np.ndarray]:
        """D's logits [N] of "generated", "train" and, if there are any, "test" images; real ones
        are faded in as in training."""
        progress = self.progress
        kinds = {"generated": self.new.clip(-1, 1)}
        for kind, images in (("train", self.train), ("test", self.test)):
            if images is not None:
                x = ops.to_unit(images)
                kinds[kind] = fade_images(x, progress.level, progress.blend).numpy()
        return {kind: self._in_parts(progress.trainer.alae.logits, x) for kind, x in kinds.items()}

    def _encode(self, x: np.ndarray) -> np.ndarray:
        return self._in_parts(self.progress.trainer.ema.encode, x)

    def _in_parts(self, function: Callable, x: np.ndarray) -> np.ndarray:
        """function(x, level, blend), without a graph, which would take longer to build."""
        at, side = (self.progress.level, self.progress.blend), x.shape[1]
        step = max(1, PIXELS // side**2)
        parts = (tf.constant(x[i : i + step]) for i in range(0, len(x), step))
        return np.concatenate([function(part, *at).numpy() for part in parts])

    def gradient(self, letter: str) -> float:
        """The recent norm of a network's gradient: √(Σ v / (1 − β₂ᵗ)), v and t as in `LREQAdam`."""
        trainer, parts = self.progress.trainer, []
        own = {id(v) for v in getattr(trainer.alae, letter).trainable_variables}
        for optimizer in (trainer.optimizer_ed, trainer.optimizer_fg):
            for variable, v, t in optimizer.slots():
                if id(variable) in own and (steps := float(np.asarray(t))):
                    parts.append(np.asarray(v).sum(dtype=float) / (1 - optimizer.beta_2**steps))
        return math.sqrt(sum(parts)) if parts else math.nan

    @property
    def older_now(self) -> float:
        """The share of the EMA that stems from before the run."""
        return self.older(self.begun, self.progress.images_seen)

    def older(self, begun: int, images_seen: int) -> float:
        """The share of the EMA after `images_seen` images that stems from before `begun`."""
        return 0.5 ** ((images_seen - begun) / self.progress.config.ema_images)

    def older_at_end(self) -> float:
        """The share of the final EMA that stems from before the run or, for the newest layers, from
        before the last level."""
        growth = self.progress.growth
        last = growth.start(growth.at(growth.total - 1).level)
        return self.older(max(self.begun, last), growth.total)


def some_images(source: Source, side: int) -> np.ndarray:
    """Images of a source, evenly spread: uint8 [N, H, W, C], N at most `IMAGES`."""
    return source.take(evenly(source, min(IMAGES, len(source))), side)
