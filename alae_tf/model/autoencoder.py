"""A trained ALAE as Python users want it: images in, images out."""

from __future__ import annotations

import functools
import os
import typing
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from alae_tf.config import Config
from alae_tf.latents import levels as level_ranges
from alae_tf.latents.codes import lerp, mix, move, to_styles
from alae_tf.latents.directions import Direction
from alae_tf.model.arguments import array, numbers, whole
from alae_tf.model.graphs import Graphs
from alae_tf.networks import ops
from alae_tf.networks.alae import ALAE, build_alae
from alae_tf.networks.names import checksum, named_variables
from alae_tf.runs.checkpoint import assign, load_networks

if typing.TYPE_CHECKING:
    from alae_tf.model.projection import Projection

# Values of the widest feature map that are computed at once, which bounds the memory: some 200 MB,
# 8 images of 128 px at 64 channels. More at once is no faster on CPUs.
PART = 2**23
MOST_IMAGES = 1_000_000  # of one call: their codes are all in memory
MOST_SEED = 2**63 - 1


class Autoencoder:
    """The EMA weights of a run, at the level and blend that it has reached.

    Args:
        config: the run's config.
        alae: the networks.
        level, blend: where the growing stands; default: full resolution.
        images_seen: in training, where it is known.

    Attributes:
        config, alae, level, blend, images_seen: as given.
        resolution: side of the images, in pixels.

    Images are taken as uint8 [0, 255] or float [−1, 1], NumPy or tensors, one [H, W, C] or many
    [N, H, W, C] (one gives one back), H = W = resolution; they are returned as uint8. N may be 0,
    or as large as the images' own memory allows: they are computed in parts.
    """

    def __init__(
        self,
        config: Config,
        alae: ALAE,
        level: int | None = None,
        blend: float = 1.0,
        images_seen: int | None = None,
    ):
        self.config, self.alae, self.blend, self.images_seen = config, alae, blend, images_seen
        self.level = config.levels - 1 if level is None else level
        self.resolution = config.level_resolution(self.level)
        self._shape = (self.resolution, self.resolution, config.image_channels)
        self._part = max(1, PART // config.kind.widest(config, self.level))

        self._process, self._made = os.getpid(), Graphs(alae, self.level, self._shape)

    def __reduce__(self):
        """Pickles and copies by config and weights; the copy computes in float32."""
        weights = {name: variable.numpy() for name, variable in named_variables(self.alae, "alae")}
        return _rebuilt, (self.config, weights, self.level, self.blend, self.images_seen)

    @property
    def _graphs(self) -> Graphs:
        """E, G and F; a RuntimeError in a forked process, where TensorFlow would wait forever."""
        if os.getpid() != self._process:
            raise RuntimeError(
                'not usable after a fork; start processes by multiprocessing.get_context("spawn")'
            )
        return self._made

    @functools.cached_property
    def fingerprint(self) -> str:
        """A checksum of the weights, 16 hexadecimal digits; directions name their model by it."""
        _ = self._graphs
        return checksum(self.alae)[:16]

    def __repr__(self) -> str:
        seen = "" if self.images_seen is None else f", {self.images_seen:,} images seen"
        blend = "" if self.blend == 1.0 else f", blend {self.blend:.2f}"
        return (
            f"<Autoencoder: {self.config.architecture}, level {self.level}{blend}, images "
            f"{list(self._shape)}, w [{self.config.latent_size}]{seen}>"
        )

    def encode(self, images) -> np.ndarray:
        """Images → w, float32 [N, latent] (one image: [latent])."""
        return self._encoded(self._graphs.encode, images)

    def long_features(self, images) -> np.ndarray:
        """What w is made of: float32 [N, d] (one image: [d]).

        MLP-ALAE: E's second hidden layer, the paper's *long* features. StyleALAE: the means and
        deviations that E takes out of all its layers.
        """
        return self._encoded(self._graphs.long_features, images)

    def score(self, images) -> np.ndarray:
        """D(E(x)): how real D finds images; logits, float32 [N] (one image: a number), above 0 for
        rather real than generated."""
        return self._encoded(self._graphs.score, images)[..., 0]

    def _encoded(self, function: typing.Any, images) -> np.ndarray:
        """function(x, blend) of images, in parts."""
        images, one = self._images(images)
        width = function.structured_outputs.shape[-1]
        rows = np.empty([len(images), width], np.float32)
        for part in self._parts(len(images)):
            x = images[part]
            x = ops.to_unit(x) if x.dtype == np.uint8 else tf.constant(x, tf.float32)
            rows[part] = function(x, tf.constant(self.blend)).numpy()
        return rows[0] if one else rows

    def decode(
        self, w, noise_mode: str = "const", seed: int = 0, floats: bool = False
    ) -> np.ndarray:
        """w [N, latent] or styles [N, styles, latent] → images (a single w [latent] → one).

        Args:
            w: float.
            noise_mode: "const" (the same every time), "random" (from `seed`) or "none".
            seed: of the random noise; image i has the same whatever N is.
            floats: return float32 as G made them, about [−1, 1] and not clipped, not uint8.

        Raises:
            ValueError: another shape or noise mode, or no such seed; w is NaN, infinite or so
                large that the image is not finite.
        """
        w = numbers("w", w)
        one = w.ndim == 1
        w = w[np.newaxis] if one else w
        latent, styles = self.config.latent_size, self.config.styles
        if w.shape[1:] not in ((latent,), (styles, latent)):
            raise ValueError(
                f"w: got shape {list(w.shape)}, expected [N, {latent}] or [N, {styles}, {latent}]"
            )
        if not np.isfinite(w).all():
            raise ValueError("w: NaN or infinite, expected finite numbers (of float32)")
        images = self._draw(
            len(w), lambda part: self.alae.broadcast(tf.constant(w[part])), noise_mode, seed, floats
        )
        return images[0] if one else images

    def sample_z(self, count: int, seed: int = 0) -> np.ndarray:
        """z ~ N(0, I) of `generate(count, seed)`: float32 [count, latent].

        Raises:
            ValueError: no such count or seed.
        """
        count, seed = whole("count", count, 1, MOST_IMAGES), whole("seed", seed, 0, MOST_SEED)
        _ = self._graphs
        return tf.random.stateless_normal([count, self.config.latent_size], [seed, 0]).numpy()

    def map(self, z) -> np.ndarray:
        """F: z [N, latent] → w [N, latent], not truncated.

        Raises:
            ValueError: another shape, or no finite numbers.
        """
        z = numbers("z", z)
        if z.ndim != 2 or z.shape[1] != self.config.latent_size:
            raise ValueError(
                f"z: got shape {list(z.shape)}, expected [N, {self.config.latent_size}]"
            )
        if not np.isfinite(z).all():
            raise ValueError("z: NaN or infinite, expected finite numbers (of float32)")
        w = np.empty_like(z)
        for part in self._parts(len(z)):
            w[part] = self._graphs.map(tf.constant(z[part])).numpy()
        return w

    def sample_w(self, count: int, seed: int = 0) -> np.ndarray:
        """The codes of `generate(count, seed, psi=1)`: float32 [count, latent]."""
        return self.map(self.sample_z(count, seed))

    def truncate(self, w, psi: float | np.ndarray) -> np.ndarray:
        """w [N, latent] → styles [N, styles, latent], those below the config's
        `truncation_cutoff` moved to w_avg + psi·(w − w_avg).

        Args:
            w: float.
            psi: one number, or one for each w [N]; 1: as it is, 0: w_avg.

        Raises:
            ValueError: psi is not finite, or of another length.
        """
        w, psi = numbers("w", w), numbers("psi", psi)
        if w.ndim != 2 or w.shape[1] != self.config.latent_size or not np.isfinite(w).all():
            raise ValueError(
                f"w: got shape {list(w.shape)}, expected finite [N, {self.config.latent_size}]"
            )
        if not np.isfinite(psi).all() or psi.shape not in ((), (len(w),)):
            raise ValueError(f"psi: got {psi}, expected a finite number as 0.7, or one for each w")
        _ = self._graphs
        styles = self.alae.broadcast(tf.constant(w))
        psi = tf.constant(psi.reshape(-1, 1, 1) if psi.ndim else psi)
        return self.alae.truncate(styles, psi, self.config.truncation_cutoff).numpy()

    def reconstruct(self, images, noise_mode: str = "const") -> np.ndarray:
        """G(E(x)): keeps the style of x, not its pixels. Images → uint8 images of that shape."""
        return self.decode(self.encode(images), noise_mode)

    def generate(
        self,
        count: int = 1,
        seed: int = 0,
        psi: float | np.ndarray | None = None,
        noise_mode: str = "const",
    ) -> np.ndarray:
        """New images, G(F(z)).

        Args:
            count: images.
            seed: of z; the same seed gives the same images, and more of them begin with these.
            psi: truncation, 1 for none, one number or one for each image [count]; default: the
                config's `truncation_psi`.
            noise_mode: as in `decode`.

        Returns:
            uint8 [count, H, W, C].

        Raises:
            ValueError: no such count, seed or noise mode, or a psi that is not finite.
        """
        w = self.sample_w(count, seed)
        psi = numbers("psi", self.config.truncation_psi if psi is None else psi)
        if not np.isfinite(psi).all():
            raise ValueError(f"psi: got {psi}, expected finite numbers, as 0.7")
        each = psi if psi.ndim else np.broadcast_to(psi, count)
        if each.shape != (count,):
            raise ValueError(f"psi: got shape {list(psi.shape)}, expected a number or [{count}]")
        return self._draw(count, lambda part: self.truncate(w[part], each[part]), noise_mode, seed)

    def interpolate(self, a, b, steps: int = 8) -> np.ndarray:
        """Images on the straight path in w from one code to another, both ends included.

        Args:
            a, b: codes w [latent], or styles [styles, latent].
            steps: images, 2 at least.

        Returns:
            uint8 [steps, H, W, C].

        Raises:
            ValueError: another shape, or no such number of steps.
        """
        t = np.linspace(0, 1, whole("steps", steps, 2, MOST_IMAGES), dtype=np.float32)
        return self.decode(lerp(self._one("a", a), self._one("b", b), t))

    def mix(self, destination, source, levels: str = "coarse") -> np.ndarray:
        """Images with the styles of `source` at some levels and of `destination` at the others.

        Args:
            destination, source: w [N, latent] or styles [N, styles, latent]; either may be one
                alone ([latent]), which then meets each of the other.
            levels: "coarse", "middle", "fine", "all", "2" or "2-4".

        Returns:
            uint8 [N, H, W, C].

        Raises:
            ValueError: another shape, or no such levels.
        """
        rows = level_ranges.rows(level_ranges.parse(levels, self.level + 1))
        pair = self._styles("destination", destination), self._styles("source", source)
        if len(pair[0]) != len(pair[1]) and 1 not in map(len, pair):
            raise ValueError(f"source: got {len(pair[1])} codes for {len(pair[0])}")
        return self.decode(mix(*pair, rows))

    def edit(self, w, direction: Direction | np.ndarray, amount, levels: str = "all") -> np.ndarray:
        """Images of codes moved along a direction.

        Args:
            w: [N, latent], styles [N, styles, latent], or one code [latent].
            direction: of `alae_tf.latents.directions`, or a vector [latent].
            amount: in the length of the direction, a number or one for each code [N].
            levels: that move; as of `mix`.

        Returns:
            uint8 [N, H, W, C].

        Raises:
            ValueError: another shape, no such levels, or a direction found with other weights.
        """
        rows = level_ranges.rows(level_ranges.parse(levels, self.level + 1))
        vector = direction.vector if isinstance(direction, Direction) else direction
        if isinstance(direction, Direction) and direction.model not in ("", self.fingerprint):
            raise ValueError(f"direction: {direction.name!r} was found with other weights")
        vector = numbers("direction", vector)
        if not np.isfinite(vector).all():
            raise ValueError("direction: NaN or infinite, expected finite numbers")
        amount = numbers("amount", amount)
        styles = self._styles("w", w)
        if not np.isfinite(amount).all() or amount.shape not in ((), (len(styles),)):
            raise ValueError(f"amount: got {amount}, expected a number, or one for each code")
        return self.decode(move(styles, vector, amount, rows))

    def project(self, images, space: str = "styles", steps: int = 150, **options) -> Projection:
        """Codes that draw images more exactly than E(x), by descent on LPIPS and pixels.

        Args:
            images: uint8, one or many.
            space: "styles": a code for each level; "w": one for all.
            steps: iterations; at 64 px some 100 ms each for 8 images on two cores.
            options: as of `alae_tf.model.projection.project`.

        Raises:
            ValueError: other images, space or steps; no weights of LPIPS.
        """
        from alae_tf.features.lpips import Lpips
        from alae_tf.model.projection import project

        images, _ = self._images(images)
        if images.dtype != np.uint8:
            images = ops.to_pixels(tf.constant(images, tf.float32)).numpy()
        return project(self, images, Lpips(), space, steps, **options)

    def _styles(self, name: str, codes) -> np.ndarray:
        """Codes as styles [N, styles, latent]; one code [latent] as N = 1."""
        codes = numbers(name, codes)
        codes = codes[np.newaxis] if codes.ndim == 1 else codes
        latent, styles = self.config.latent_size, self.config.styles
        if codes.shape[1:] not in ((latent,), (styles, latent)):
            raise ValueError(
                f"{name}: got shape {list(codes.shape)}, expected [N, {latent}] or "
                f"[N, {styles}, {latent}]"
            )
        return to_styles(codes, styles)

    def _one(self, name: str, code) -> np.ndarray:
        """One code, w [latent] or styles [styles, latent], as styles [styles, latent]."""
        code = numbers(name, code)
        latent, styles = self.config.latent_size, self.config.styles
        if code.shape not in ((latent,), (1, latent), (styles, latent), (1, styles, latent)):
            raise ValueError(
                f"{name}: got shape {list(code.shape)}, expected one code, [{latent}] or "
                f"[{styles}, {latent}]"
            )
        return (
            np.broadcast_to(code, (styles, latent))
            if code.size == latent
            else code.reshape(styles, latent)
        )

    def _parts(self, count: int) -> Iterator[slice]:
        """What of `count` images is computed at once."""
        return (slice(start, start + self._part) for start in range(0, count, self._part))

    def _draw(
        self,
        count: int,
        styles: Callable[[slice], tf.Tensor | np.ndarray],
        noise_mode: str,
        seed: int,
        floats: bool = False,
    ) -> np.ndarray:
        """Images of styles(part) [n, styles, latent]: uint8 or float32 [count, H, W, C]."""
        seed = whole("seed", seed, 0, MOST_SEED)
        graphs = self._graphs
        # All noise at once, so that an image's does not depend on the parts.
        noise = self.alae.noise(noise_mode, count, self.level, seed) or []
        decode = graphs.decode_noisy if noise else graphs.decode_plain
        images = np.empty([count, *self._shape], np.float32 if floats else np.uint8)
        for part in self._parts(count):
            maps = [each if each.shape[0] == 1 else each[part] for each in noise]
            drawn, pixels, finite = decode(styles(part), maps, tf.constant(self.blend))
            if not finite:
                raise ValueError("w: so large (or psi is) that the image is not finite")
            images[part] = (drawn if floats else pixels).numpy()
        return images

    def _images(self, images) -> tuple[np.ndarray, bool]:
        """The images, checked: uint8 or float [N, H, W, C]; and whether one alone was given."""
        images = array("images", images)
        one = images.ndim == 3
        images = images[np.newaxis] if one else images
        if images.ndim != 4 or images.shape[1:] != self._shape:
            raise ValueError(
                f"images: got shape {list(images.shape)}, expected [N, "
                f"{', '.join(map(str, self._shape))}] or one [{', '.join(map(str, self._shape))}]"
            )
        if images.dtype == np.uint8:
            return images, one
        if not np.issubdtype(images.dtype, np.floating):
            raise ValueError(f"images: got dtype {images.dtype}, expected uint8 or a float type")
        low, high = (images.min(), images.max()) if images.size else (0.0, 0.0)
        if not (np.isfinite(low) and np.isfinite(high)):
            raise ValueError("images: NaN or infinite, expected floats in [−1, 1]")
        if max(-low, high) > 1.0 + 1e-3:
            raise ValueError(
                "images: floats beyond [−1, 1]; give pixels as uint8, or scale them by x/127.5 − 1"
            )
        return images, one


def _rebuilt(config: Config, weights: dict[str, np.ndarray], *state: typing.Any) -> Autoencoder:
    """An Autoencoder from what `Autoencoder.__reduce__` gives."""
    alae = build_alae(config.replace(precision="float32"))
    assign(dict(named_variables(alae, "alae")), weights)
    return Autoencoder(config, alae, *state)


def load_model(
    run_dir: str | Path,
    checkpoint: int | None = None,
    weights: str = "ema",
    level: int | None = None,
) -> Autoencoder:
    """A trained run, computing in float32.

    Switches TensorFloat-32 off for the whole process, which makes float32 products exact and slower
    on NVIDIA GPUs from Ampere on. Undo it with
    `tf.config.experimental.enable_tensor_float_32_execution(True)`.

    Args:
        run_dir: what `python -m alae_tf.train --run_dir=…` wrote.
        checkpoint: images seen at the checkpoint to take; default: the newest.
        weights: "ema", or "raw": the weights as the last step left them.
        level: of a growing run, one that it has passed or reached; default: the one it is at.

    Raises:
        CheckpointError: no run directory, or no such checkpoint in it that can be read.
        ValueError: other weights, or a level that the run has not reached.
        OSError: the disk fails while it is read.
    """
    if checkpoint is not None:
        checkpoint = whole("checkpoint", checkpoint, 0, MOST_SEED)
    config, alae, state = load_networks(run_dir, checkpoint=checkpoint, weights=weights)
    reached = state["level"]
    if level is not None:
        level = whole("level, of those that the run has reached", level, 0, reached)
    blend = state["blend"] if level in (None, reached) else 1.0
    return Autoencoder(
        config, alae, reached if level is None else level, blend, state["images_seen"]
    )
