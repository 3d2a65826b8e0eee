"""The Python API of a trained ALAE: images in, images out."""

from __future__ import annotations

import functools
import os
import typing
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from alae_tf.config import Config
from alae_tf.latents import levels as level_ranges
from alae_tf.latents.codes import lerp, mix, move, to_styles
from alae_tf.latents.directions import Direction
from alae_tf.model.arguments import array, numbers, whole
from alae_tf.model.graphs import Graphs
from alae_tf.model.inputs import RangeCheck, elements, opened
from alae_tf.networks import functional, ops
from alae_tf.networks.alae import ALAE, build_alae, check_process
from alae_tf.networks.names import checksum, named_variables
from alae_tf.runs.checkpoint import assign, load_networks

if typing.TYPE_CHECKING:
    from alae_tf.model.projection import Projection

# Values in the widest feature map of one part of a batch. They limit memory to about 200 MB, for
# example 8 images of 128 px at 64 channels; larger parts are no faster on CPUs.
PART = 2**23
MOST_IMAGES = 1_000_000  # in one call, whose codes are all in memory
MOST_SEED = 2**63 - 1


class Autoencoder:
    """The networks of a run at one level and blend, usually with their EMA weights.

    Args:
        config: the run's config.
        alae: the networks.
        level, blend: progress of the growing; default: full resolution.
        images_seen: images seen in training; None if unknown.

    Methods take images as uint8 [0, 255] or float [−1, 1], as arrays or tensors, and return uint8.
    For one image [H, W, C] they return one result, for many [N, H, W, C] they return N;
    H = W = resolution. N may be 0; many images are computed in parts, so that only the images
    themselves must fit into memory. Methods also take a path or a PIL image, or an iterable of
    these, whose middle squares are scaled as in training. (`alae_tf.read_images` reads folders.)
    Floats of which none is below 0 are reported once: they may have been scaled to [0, 1].

    Raises:
        ValueError: an argument has another type or shape, is out of range or is not finite.
        ImageError: a file does not exist or cannot be read (a ValueError, too).
        RuntimeError: the process was forked, and TensorFlow would hang in it.
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
        self._many = ("N", config.latent_size), ("N", config.styles, config.latent_size)
        self._part = max(1, PART // config.kind.widest(config, self.level))
        self._check_range = RangeCheck()
        self._process, self._made = os.getpid(), Graphs(alae, self.level, self._shape)

    def __reduce__(self):
        """Pickles config and weights; the copy computes in float32."""
        weights = {name: variable.numpy() for name, variable in named_variables(self.alae, "alae")}
        return _rebuilt, (self.config, weights, self.level, self.blend, self.images_seen)

    @property
    def _graphs(self) -> Graphs:
        """E, G and F as graphs."""
        check_process(self._process)
        return self._made

    @functools.cached_property
    def fingerprint(self) -> str:
        """Checksum of the weights, 16 hexadecimal digits, by which directions name their model."""
        _ = self._graphs
        return checksum(self.alae)[:16]

    def __repr__(self) -> str:
        seen = "" if self.images_seen is None else f", {self.images_seen:,} images seen"
        blend = "" if self.blend == 1.0 else f", blend {self.blend:.2f}"
        return (
            f"<Autoencoder: {self.config.architecture}, level {self.level}{blend}, images "
            f"{list(self._shape)}, w [{self.config.latent_size}]{seen}>"
        )

    def encode(self, images, layers: bool = False) -> np.ndarray:
        """Images → w, float32 [N, latent] (one image: [latent]).

        Args:
            images: one or many; or a `tf.data.Dataset` of images [H, W, C] or of batches
                [N, H, W, C], which is read in parts. If its elements are tuples, for example
                (image, label), the images come first. `long_features` and `score` also take a
                dataset.
            layers: return the code of each layer, from which G reconstructs the image: styles
                [N, styles, latent]. They equal w unless E also gives corrections
                (--encoder_codes=layers).
        """
        return self._encoded(self._graphs.codes if layers else self._graphs.encode, images)

    def long_features(self, images) -> np.ndarray:
        """The features from which E computes w: float32 [N, d] (one image: [d]).

        MLP-ALAE: E's second hidden layer, the paper's *long* features. StyleALAE: the means and
        standard deviations of E's feature maps.
        """
        return self._encoded(self._graphs.long_features, images)

    def score(self, images) -> np.ndarray:
        """D(E(x)), or D(x) of a separate D: logits, float32 [N] (one image: a scalar), positive for
        images that D takes for real ones."""
        return self._encoded(self._graphs.score, images)[..., 0]

    def _encoded(self, function: typing.Any, images) -> np.ndarray:
        """function(x, blend) [N, …] of images, computed in parts."""
        if isinstance(images, tf.data.Dataset):
            none = self._computed(function, np.empty([0, *self._shape], np.uint8))
            rows = [self._computed(function, batch) for batch in self._batches(images)]
            return np.concatenate([none, *rows])
        images, one = self._images(images)
        rows = self._computed(function, images)
        return rows[0] if one else rows

    def _computed(self, function: typing.Any, images: np.ndarray) -> np.ndarray:
        """function(x, blend) [N, …] of checked images [N, H, W, C]."""
        rows = np.empty([len(images), *function.structured_outputs.shape[1:]], np.float32)
        for part in self._parts(len(images)):
            x = images[part]
            x = ops.to_unit(x) if x.dtype == np.uint8 else tf.constant(x, tf.float32)
            rows[part] = function(x, tf.constant(self.blend)).numpy()
        return rows

    def decode(
        self, w, noise_mode: str = "const", seed: int = 0, floats: bool = False
    ) -> np.ndarray:
        """G: w [N, latent] or styles [N, styles, latent] → images (one w [latent]: one image).

        Args:
            w: float.
            noise_mode: "const" (the same in every call), "random" (drawn with `seed`) or "none".
            seed: of the random noise, which for image i does not depend on N.
            floats: return G's output, float32, about [−1, 1] and not clipped, instead of uint8.
        """
        w = numbers("w", w, (self.config.latent_size,), *self._many)
        one = w.ndim == 1
        w = w[np.newaxis] if one else w
        images = self._draw(
            len(w), lambda part: self.alae.broadcast(tf.constant(w[part])), noise_mode, seed, floats
        )
        return images[0] if one else images

    def encoder(self, layers: bool = False) -> keras.Model:
        """E as a functional Keras model, for example to train a classifier on it.

        It takes images, float32 [N, H, W, C] in [−1, 1], and gives what `encode` gives: w
        [N, latent], or with `layers` styles [N, styles, latent]. It has only the weights that this
        level and blend use, as copies in float32: training it leaves the Autoencoder unchanged. It
        can be saved as a `.keras` file, which `keras.saving.load_model` reads after `import keras,
        alae_tf`. docs/classifier.md has an example.
        """
        _ = self._graphs
        return functional.encoder(self.alae, self.level, float(self.blend), self._shape, layers)

    def decoder(self, layers: bool = False) -> keras.Model:
        """G as a functional Keras model, with weights of its own; see `encoder`.

        It takes w [N, latent], or with `layers` styles [N, styles, latent], and gives what
        `decode(…, floats=True)` gives: images with constant noise, float32 [N, H, W, C].
        """
        _ = self._graphs
        return functional.decoder(self.alae, self.level, float(self.blend), layers)

    def sample_z(self, count: int, seed: int = 0) -> np.ndarray:
        """The z of `generate(count, seed)`, drawn from N(0, I): float32 [count, latent]."""
        count, seed = whole("count", count, 1, MOST_IMAGES), whole("seed", seed, 0, MOST_SEED)
        _ = self._graphs
        return tf.random.stateless_normal([count, self.config.latent_size], [seed, 0]).numpy()

    def map(self, z) -> np.ndarray:
        """F: z [N, latent] → w [N, latent], not truncated."""
        z = numbers("z", z, self._many[0])
        w = np.empty_like(z)
        for part in self._parts(len(z)):
            w[part] = self._graphs.map(tf.constant(z[part])).numpy()
        return w

    def sample_w(self, count: int, seed: int = 0) -> np.ndarray:
        """The codes of `generate(count, seed, psi=1)`: float32 [count, latent]."""
        return self.map(self.sample_z(count, seed))

    def truncate(self, w, psi: float | np.ndarray) -> np.ndarray:
        """Truncation: w [N, latent] → styles [N, styles, latent].

        Styles below the config's `truncation_cutoff` become w_avg + psi·(w − w_avg), the others w.
        psi is a number, or an array [N] with a number for each w; 1 changes nothing, 0 gives w_avg.
        """
        w = numbers("w", w, self._many[0])
        psi = numbers("psi", psi, (), (len(w),))
        _ = self._graphs
        styles = self.alae.broadcast(tf.constant(w))
        psi = tf.constant(psi.reshape(-1, 1, 1) if psi.ndim else psi)
        return self.alae.truncate(styles, psi, self.config.truncation_cutoff).numpy()

    def reconstruct(self, images, noise_mode: str = "const") -> np.ndarray:
        """G(E(x)), which keeps the style of x, not its pixels: uint8, of the images' shape."""
        images, one = self._images(images)
        again = self.decode(self.encode(images, layers=True), noise_mode)
        return again[0] if one else again

    def generate(
        self,
        count: int = 1,
        seed: int = 0,
        psi: float | np.ndarray | None = None,
        noise_mode: str = "const",
    ) -> np.ndarray:
        """New images, G(F(z)): uint8 [count, H, W, C].

        Args:
            seed: of z. With the same seed, a larger count begins with the same images.
            psi: truncation (1: none), a number or one for each image [count]; default: the
                config's `truncation_psi`.
            noise_mode: see `decode`.
        """
        w = self.sample_w(count, seed)
        psi = self.config.truncation_psi if psi is None else psi
        each = np.broadcast_to(numbers("psi", psi, (), (count,)), count)
        return self._draw(count, lambda part: self.truncate(w[part], each[part]), noise_mode, seed)

    def interpolate(self, a, b, steps: int = 8) -> np.ndarray:
        """Images on the straight path in w from one code to another: uint8 [steps, H, W, C].

        a and b, which the path includes, are w [latent] or styles [styles, latent].
        """
        t = np.linspace(0, 1, whole("steps", steps, 2, MOST_IMAGES), dtype=np.float32)
        latent, styles = self.config.latent_size, self.config.styles
        shapes = (latent,), (styles, latent), (1, latent), (1, styles, latent)
        ends = []
        for name, code in (("a", a), ("b", b)):
            code = numbers(name, code, *shapes).reshape(-1, latent)
            ends.append(np.broadcast_to(code, (styles, latent)))
        return self.decode(lerp(ends[0], ends[1], t))

    def mix(self, destination, source, levels: str = "coarse") -> np.ndarray:
        """Images with the styles of `source` at some levels and of `destination` at the others:
        uint8 [N, H, W, C].

        Args:
            destination, source: w [N, latent] or styles [N, styles, latent]. Either may be one
                code ([latent] or N = 1), which is then mixed with each code of the other.
            levels: the levels that take the source's styles: "coarse", "middle", "fine", "all", or
                numbers from 0 (4 px) such as "2" or "2-4".
        """
        rows = level_ranges.rows(level_ranges.parse(levels, self.level + 1))
        pair = self._styles("destination", destination), self._styles("source", source)
        if len(pair[0]) != len(pair[1]) and 1 not in map(len, pair):
            raise ValueError(f"source: got {len(pair[1])} codes for {len(pair[0])}")
        return self.decode(mix(*pair, rows))

    def edit(self, w, direction: Direction | np.ndarray, amount, levels: str = "all") -> np.ndarray:
        """Images of codes moved along a direction: uint8 [N, H, W, C].

        Args:
            w: [N, latent], styles [N, styles, latent], or one code [latent].
            direction: see `alae_tf.latents.directions`; or a vector [latent].
            amount: in lengths of the direction, a number or one for each code [N].
            levels: the levels whose styles move; see `mix`.

        Raises:
            ValueError: also if the direction was found with other weights.
        """
        rows = level_ranges.rows(level_ranges.parse(levels, self.level + 1))
        if isinstance(direction, Direction):
            if direction.model not in ("", self.fingerprint):
                raise ValueError(f"direction: {direction.name!r} was found with other weights")
            direction = direction.vector
        vector = numbers("direction", direction, (self.config.latent_size,))
        styles = self._styles("w", w)
        amount = numbers("amount", amount, (), (len(styles),))
        return self.decode(move(styles, vector, amount, rows))

    def project(self, images, space: str = "styles", steps: int = 150, **options) -> Projection:
        """Codes that draw images more exactly than E(x), by descent on LPIPS and pixels.

        Args:
            images: one or many.
            space: "styles", a code for each layer of G; or "w", one code for all layers.
            steps: iterations; at 64 px about 100 ms each for 8 images on two cores.
            options: see `alae_tf.model.projection.project`.
        """
        from alae_tf.features.lpips import Lpips
        from alae_tf.model.projection import project

        images, _ = self._images(images)
        if images.dtype != np.uint8:
            images = ops.to_pixels(tf.constant(images, tf.float32)).numpy()
        return project(self, images, Lpips(), space, steps, **options)

    def _styles(self, name: str, codes) -> np.ndarray:
        """Codes, or one code [latent], as styles [N, styles, latent]."""
        latent, styles = self.config.latent_size, self.config.styles
        codes = numbers(name, codes, (latent,), *self._many)
        return to_styles(codes.reshape(-1, latent) if codes.ndim == 1 else codes, styles)

    def _parts(self, count: int) -> Iterator[slice]:
        """Slices of `count` images that are computed at once."""
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
        # All noise at once, so that the noise of an image does not depend on the parts.
        noise = self.alae.noise(noise_mode, count, self.level, seed) or []
        decode = graphs.decode_noisy if noise else graphs.decode_plain
        images = np.empty([count, *self._shape], np.float32 if floats else np.uint8)
        for part in self._parts(count):
            maps = [each if each.shape[0] == 1 else each[part] for each in noise]
            drawn, pixels, finite = decode(styles(part), maps, tf.constant(self.blend))
            if not finite:
                raise ValueError("w: w or psi is too large; the image is not finite")
            images[part] = (drawn if floats else pixels).numpy()
        return images

    def _batches(self, dataset: tf.data.Dataset) -> Iterator[np.ndarray]:
        """The checked images of a dataset, about `_part` at a time: uint8 or float [n, H, W, C]."""
        waiting: list[np.ndarray] = []
        ends: list[float] = []
        for element in elements(dataset):
            images, _, *extremes = self._checked(element)
            waiting.append(images)
            ends += extremes
            if sum(map(len, waiting)) >= self._part:
                yield np.concatenate(waiting)
                waiting.clear()
        if waiting:
            yield np.concatenate(waiting)
        if ends:
            self._check_range(min(ends), max(ends))

    def _images(self, images) -> tuple[np.ndarray, bool]:
        """Checked images, uint8 or float [N, H, W, C], and whether a single one was given."""
        if isinstance(images, tf.data.Dataset):
            raise ValueError("images: only encode, long_features and score take a dataset")
        images = opened(images, self.resolution, self.config.image_channels)
        images, one, low, high = self._checked(images)
        self._check_range(low, high)
        return images, one

    def _checked(self, given) -> tuple[np.ndarray, bool, float, float]:
        """Images as `_images` returns them, with their extreme values, −1 and 1 for uint8."""
        images = array("images", given)
        if images.dtype.kind not in "biufcV":  # bfloat16 is of kind V
            kind = f"{type(given).__name__} of {images.dtype}"
            raise ValueError(
                f"images: got {kind}, expected arrays or tensors, paths, or PIL images"
            )
        one = images.ndim == 3
        images = images[np.newaxis] if one else images
        if images.ndim != 4 or images.shape[1:] != self._shape:
            size = ", ".join(map(str, self._shape))
            raise ValueError(
                f"images: got shape {list(images.shape)}, expected [N, {size}] or [{size}]"
            )
        if images.dtype == np.uint8:
            return images, one, -1.0, 1.0
        if not np.issubdtype(images.dtype, np.floating):
            raise ValueError(f"images: got dtype {images.dtype}, expected uint8 or a float type")
        low, high = (float(images.min()), float(images.max())) if images.size else (0.0, 0.0)
        if not (np.isfinite(low) and np.isfinite(high)):
            raise ValueError("images: got NaN or infinity, expected floats in [−1, 1]")
        if max(-low, high) > 1.0 + 1e-3:
            raise ValueError(
                "images: got floats outside [−1, 1]; give uint8 pixels, or scale by x/127.5 − 1"
            )
        return images, one, low, high


def _rebuilt(config: Config, weights: dict[str, np.ndarray], *state: typing.Any) -> Autoencoder:
    """The copy of an Autoencoder that `Autoencoder.__reduce__` describes."""
    alae = build_alae(config.replace(precision="float32"))
    assign(dict(named_variables(alae, "alae")), weights)
    return Autoencoder(config, alae, *state)


def load_model(
    run_dir: str | Path,
    checkpoint: int | str | None = None,
    weights: str = "ema",
    level: int | None = None,
) -> Autoencoder:
    """Loads a trained run; the model computes in float32.

    Disables TensorFloat-32 for the whole process: on NVIDIA GPUs from Ampere on, float32 products
    become more exact and slower. To enable it again, call
    `tf.config.experimental.enable_tensor_float_32_execution(True)`.

    Args:
        run_dir: a run directory, written by `python -m alae_tf.train --run_dir=…`, or its URL; or
            the name of a shipped model.
        checkpoint: images seen at the checkpoint to load, or "best": the checkpoint with the best
            value of --evaluate_metrics; default: the newest.
        weights: "ema", or "raw": the weights as the last step left them.
        level: a level that a growing run has passed or reached; default: the current one.

    Raises:
        CheckpointError: not a run directory, or the checkpoint is missing or cannot be read.
        ValueError: `weights` is neither of the two, or the run has not reached the level.
        OSError: reading the disk failed.
    """
    if checkpoint is not None and not isinstance(checkpoint, str):
        checkpoint = whole("checkpoint", checkpoint, 0, MOST_SEED)
    config, alae, state = load_networks(run_dir, checkpoint=checkpoint, weights=weights)
    reached = state["level"]
    level = reached if level is None else whole("level", level, 0, reached)
    blend = state["blend"] if level == reached else 1.0
    return Autoencoder(config, alae, level, blend, state["images_seen"])
