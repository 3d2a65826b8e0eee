"""A trained ALAE as Python users want it: images in, images out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from alae_tf.config import Config
from alae_tf.networks import ops
from alae_tf.networks.alae import ALAE
from alae_tf.runs.checkpoint import load_ema


class Autoencoder:
    """The EMA weights of a run, at the level and blend that it has reached.

    Args:
        config: the run's config.
        alae: the networks.
        level, blend: where the growing stands; default: full resolution.

    Attributes:
        config, alae, level, blend: as given.
        resolution: side of the images, in pixels.

    Images are taken as uint8 [0, 255] or float [−1, 1], NumPy or tensors, one [H, W, C] or many
    [N, H, W, C] (one gives one back), H = W = resolution; they are returned as uint8.
    """

    def __init__(self, config: Config, alae: ALAE, level: int | None = None, blend: float = 1.0):
        self.config, self.alae, self.blend = config, alae, blend
        self.level = config.levels - 1 if level is None else level
        self.resolution = config.level_resolution(self.level)
        # The blend is an argument, so that a training run may move it without tracing again.
        self._encode = tf.function(lambda x, blend: alae.encode(x, self.level, blend))
        self._decode = tf.function(
            lambda w, noise, blend: ops.to_pixels(alae.decode(w, self.level, blend, noise))
        )

    def encode(self, images) -> np.ndarray:
        """Images → w, float32 [N, latent] (one image: [latent])."""
        x, one = self._images(images)
        return _give(self._encode(x, tf.constant(self.blend)), one)

    def decode(self, w, noise_mode: str = "const", seed: int = 0) -> np.ndarray:
        """w [N, latent] or styles [N, styles, latent] → images (a single w [latent] → one).

        Args:
            w: float.
            noise_mode: "const" (the same every time), "random" (from `seed`) or "none".
            seed: of the random noise.

        Raises:
            ValueError: another shape or noise mode.
        """
        w = tf.convert_to_tensor(np.asarray(w, np.float32))
        one = w.shape.rank == 1
        w = w[tf.newaxis] if one else w
        latent, styles = self.config.latent_size, self.config.styles
        if w.shape[1:] not in ([latent], [styles, latent]):
            raise ValueError(
                f"w: got shape {list(w.shape)}, expected [N, {latent}] or [N, {styles}, {latent}]"
            )
        noise = self.alae.noise(noise_mode, w.shape[0], self.level, seed)
        return _give(self._decode(w, noise, tf.constant(self.blend)), one)

    def reconstruct(self, images, noise_mode: str = "const") -> np.ndarray:
        """G(E(x)): keeps the style of x, not its pixels. Images → uint8 images of that shape."""
        return self.decode(self.encode(images), noise_mode)

    def generate(
        self, count: int = 1, seed: int = 0, psi: float | None = None, noise_mode: str = "const"
    ) -> np.ndarray:
        """New images, G(F(z)).

        Args:
            count: images.
            seed: of z; the same seed gives the same images.
            psi: truncation, 1 for none; default: the config's `truncation_psi`.
            noise_mode: as in `decode`.

        Returns:
            uint8 [count, H, W, C].

        Raises:
            ValueError: a count below 1, or another noise mode.
        """
        if count < 1:
            raise ValueError(f"count: got {count}, expected 1 or more")
        z = tf.random.stateless_normal([count, self.config.latent_size], [seed, 0])
        psi = self.config.truncation_psi if psi is None else psi
        styles = self.alae.truncate(self.alae.map(z), psi, self.config.truncation_cutoff)
        return self.decode(styles, noise_mode, seed)

    def _images(self, images) -> tuple[tf.Tensor, bool]:
        images = np.asarray(images)
        one = images.ndim == 3
        images = images[np.newaxis] if one else images
        expected = (self.resolution, self.resolution, self.config.image_channels)
        if images.ndim != 4 or images.shape[1:] != expected:
            raise ValueError(
                f"images: got shape {list(images.shape)}, expected [N, "
                f"{', '.join(map(str, expected))}] or one [{', '.join(map(str, expected))}]"
            )
        if images.dtype == np.uint8:
            return ops.to_unit(images), one
        if not np.issubdtype(images.dtype, np.floating):
            raise ValueError(f"images: got dtype {images.dtype}, expected uint8 or a float type")
        if images.size and not np.abs(images).max() <= 1.0 + 1e-3:
            raise ValueError(
                "images: floats beyond [−1, 1]; give pixels as uint8, or scale them by x/127.5 − 1"
            )
        return tf.constant(images, tf.float32), one


def _give(result: tf.Tensor, one: bool) -> np.ndarray:
    return result.numpy()[0] if one else result.numpy()


def load_model(run_dir: str | Path) -> Autoencoder:
    """The EMA weights of a run's newest checkpoint.

    Args:
        run_dir: what `python -m alae_tf.train --run_dir=…` wrote.

    Raises:
        CheckpointError: no run directory, or no checkpoint in it that can be read.
        OSError: the disk fails while it is read.
    """
    config, alae, state = load_ema(run_dir)
    return Autoencoder(config, alae, state["level"], state["blend"])
