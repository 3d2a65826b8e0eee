"""ALAE: F, G, E and D joined, and `build_alae`, which builds them from a config."""

from __future__ import annotations

import collections
import contextlib
import functools
import numbers
import os
import random
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend.common import global_state

from alae_tf.config import Config
from alae_tf.config.architecture import ARCHITECTURES
from alae_tf.networks import ops
from alae_tf.networks.generator import constant_noise
from alae_tf.networks.ops import Blend
from alae_tf.networks.readout import Readout


@keras.saving.register_keras_serializable("alae_tf")
class ALAE(keras.Model):
    """The four networks of the paper's Fig. 1, and w_avg, the running mean of w.

    Args:
        F, G, E, D: the networks.
        styles: int. Number of style vectors of G.
        discriminator: "joint": D∘E; "separate": D alone, a network that takes images.
        latent_regression: "w": E gives w; "z": E gives z, and w = F(E(x)) (an ablation).

    Generator = G∘F, discriminator = D∘E, autoencoder = E∘G in latent space.
    """

    def __init__(self, F, G, E, D, styles, discriminator="joint", latent_regression="w", **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.F, self.G, self.E, self.D, self.styles = F, G, E, D, styles
        if isinstance(E, Readout):
            E.attach(D)
        self.discriminator, self.latent_regression = discriminator, latent_regression
        self.w_avg = self.add_weight(
            shape=(styles, F.latent_size),
            initializer="zeros",
            trainable=False,
            autocast=False,
            aggregation="mean",
            name="w_avg",
        )
        self.built = True

    def get_config(self):
        networks = {name: getattr(self, name) for name in "FGED"}
        return super().get_config() | {
            **{name: keras.saving.serialize_keras_object(n) for name, n in networks.items()},
            "styles": self.styles,
            "discriminator": self.discriminator,
            "latent_regression": self.latent_regression,
        }

    @classmethod
    def from_config(cls, config):
        networks = {name: keras.saving.deserialize_keras_object(config[name]) for name in "FGED"}
        return cls(**config | networks)

    def call(self, x: tf.Tensor, level: int | None = None, blend: Blend = 1.0) -> tf.Tensor:
        """Reconstructs x without noise: G(E(x)). [N, H, W, C] in [−1, 1] → the same."""
        return self.decode(self.codes(x, level, blend)[0], level, blend)

    def fit(self, *args, **kwargs):
        """Raises TypeError: each of the three updates of an ALAE has its own loss."""
        raise TypeError("an ALAE is trained by python -m alae_tf.train, or alae_tf.training.loop")

    def export(self, *args, **kwargs):
        """Raises TypeError: the graphs of an ALAE need a level and a blend."""
        raise TypeError("an ALAE is exported by alae export --run_dir=RUN --out=DIR")

    def map(self, z: tf.Tensor) -> tf.Tensor:
        """F: z [N, latent] → styles [N, styles, latent], all equal."""
        return self.broadcast(self.F(z))

    def broadcast(self, w: tf.Tensor) -> tf.Tensor:
        """w [N, latent] → styles [N, styles, latent]; styles are returned unchanged."""
        if len(w.shape) == 3:
            return w
        # An addition, unlike tiling, runs on TFLite's delegates.
        return tf.reshape(w, [-1, 1, w.shape[-1]]) + tf.zeros([self.styles, 1], w.dtype)

    def mix(self, styles: tf.Tensor, other: tf.Tensor, cutoff: int | tf.Tensor) -> tf.Tensor:
        """Style mixing: `styles` below the cutoff, a number or [N, 1, 1], else `other`. Both
        [N, styles, latent]."""
        index = tf.range(self.styles)[tf.newaxis, :, tf.newaxis]
        return tf.where(index < cutoff, styles, other)

    def truncate(self, styles: tf.Tensor, psi: float | tf.Tensor, cutoff: int) -> tf.Tensor:
        """The truncation trick: styles below the cutoff become w_avg + psi·(w − w_avg)."""
        return self.mix(ops.lerp(tf.convert_to_tensor(self.w_avg), styles, psi), styles, cutoff)

    def encode(self, x: tf.Tensor, level: int | None = None, blend: Blend = 1.0) -> tf.Tensor:
        """E: x [N, H, W, C] in [−1, 1] → w [N, latent]; with z regression, F∘E."""
        found = self.E(x, level=level, blend=blend)
        return found if self.latent_regression == "w" else self.F(found)

    def codes(
        self, x: tf.Tensor, level: int | None = None, blend: Blend = 1.0
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """(the styles from which G reconstructs x, the corrections that E added to them or None).

        x [N, H, W, C] in [−1, 1] → [N, styles, latent] each. A style is w, or w plus the correction
        for its layer of G.
        """
        w, corrections = self.E.codes(x, level=level, blend=blend)
        if corrections is not None:
            return self.broadcast(w) + corrections, corrections
        return self.broadcast(w if self.latent_regression == "w" else self.F(w)), None

    def decode(
        self,
        w: tf.Tensor,
        level: int | None = None,
        blend: Blend = 1.0,
        noise: list | None = None,
    ) -> tf.Tensor:
        """G: w [N, latent] or styles [N, styles, latent] → image [N, H, W, C]."""
        return self.G(self.broadcast(w), level=level, blend=blend, noise=noise)

    def logits(self, x: tf.Tensor, level: int | None = None, blend: Blend = 1.0) -> tf.Tensor:
        """D∘E: x [N, H, W, C] in [−1, 1] → logits [N], positive for real; a separate D takes x.

        With z regression D takes E's z, so that F is not part of the discriminator.
        """
        if self.discriminator == "separate":
            return self.D(x, level=level, blend=blend)
        return self.D(self.E(x, level=level, blend=blend))

    def noise(
        self, mode: str, batch: int | tf.Tensor, level: int | None = None, seed: Any = 0
    ) -> list | None:
        """The noise maps of one call of G.

        Args:
            mode: "random" (new for every image, from `seed`), "const" (the same for every image
                and every call) or "none".
            batch: int or scalar tensor. Number of images.
            level: int; default: full resolution.
            seed: int32 or int64 [2], or an integer.

        Returns:
            A list of maps as `Generator` takes them, or None.

        Raises:
            ValueError: unknown mode.
        """
        if mode not in ("random", "const", "none"):
            raise ValueError(f"noise_mode: got {mode!r}, expected random, const or none")
        shapes = self.G.noise_shapes(batch, level)
        if mode == "none" or not shapes:
            return None
        if mode == "const":
            return [constant_noise(k, shape[1]) for k, shape in enumerate(shapes)]
        seed = tf.convert_to_tensor((0, seed) if isinstance(seed, numbers.Integral) else seed)
        seeds = tf.random.split(seed, len(shapes))
        return [tf.random.stateless_normal(shape, seeds[k]) for k, shape in enumerate(shapes)]


def build_alae(config: Config, seed: int | None = None, dtype: str = "float32") -> ALAE:
    """Builds the networks that a config describes, with new weights.

    Args:
        config: its architecture, variants, sizes and precision are used.
        seed: int. Seed of the weights; default: the config's.
        dtype: dtype of the weights, and of everything that the config's precision does not lower;
            "float64" for checks that must not depend on rounding.

    Raises RuntimeError in a fork of a process that has built networks.
    """
    check_process(_first_process())
    with seeded(config.seed if seed is None else seed), named_afresh():
        networks = ARCHITECTURES[config.architecture].networks(config, dtype)
        return ALAE(
            **networks,
            styles=config.styles,
            discriminator=config.discriminator,
            latent_regression=config.latent_regression,
            dtype=dtype,
            name="alae",
        )


def check_process(owner: int) -> None:
    """Raises RuntimeError unless this process is `owner`, which has used TensorFlow: in a fork of
    it, TensorFlow would hang."""
    if os.getpid() != owner:
        raise RuntimeError(
            'not usable after a fork; start processes by multiprocessing.get_context("spawn")'
        )


@functools.cache
def _first_process() -> int:
    """The process that built the first networks."""
    return os.getpid()


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seeds Python's generator, from which Keras' initialisers draw seeds; then restores it."""
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)


@contextlib.contextmanager
def named_afresh() -> Iterator[None]:
    """Counts Keras' automatic names from zero; restores the count afterwards.

    TensorFlow keeps a kernel forever for each new name of a variable.
    """
    before = global_state.get_global_attribute("object_name_uids")
    global_state.set_global_attribute("object_name_uids", collections.defaultdict(int))
    try:
        yield
    finally:
        global_state.set_global_attribute("object_name_uids", before)
