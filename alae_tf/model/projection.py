"""Codes that reproduce an image more exactly than E(x), found by gradient descent from E(x)."""

from __future__ import annotations

import dataclasses
import functools
import math
import typing
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from alae_tf.features.lpips import prepare
from alae_tf.latents import LatentError
from alae_tf.networks import ops

if typing.TYPE_CHECKING:
    from alae_tf.model.autoencoder import Autoencoder

SPACES = ("w", "styles")
PART = 8  # images at once; they do not affect one another
RATE = 0.05  # in standard deviations of w per iteration
NOISE_RATE = 0.05


@dataclasses.dataclass(frozen=True)
class Projection:
    """The result for some images."""

    before: np.ndarray  # E(x), w [N, latent] or styles [N, styles, latent]
    after: np.ndarray  # the codes found, w [N, latent] or styles [N, styles, latent]
    noise: list[np.ndarray] | None  # the noise maps found, or None if they did not move
    reconstructed: np.ndarray  # G's images of `before`, uint8 [N, H, W, C]
    projected: np.ndarray  # G's images of `after`
    # LPIPS of each image after each iteration, [N, steps + 1], beginning with E(x).
    perceptual: np.ndarray
    squared: np.ndarray  # mean squared error of images in [−1, 1], of the same shape


def project(
    model: Autoencoder,
    images: np.ndarray,
    lpips: typing.Any,
    space: str = "styles",
    steps: int = 150,
    pixels: float = 1.0,
    pull: float = 0.02,
    noise: bool = False,
    progress: bool = False,
) -> Projection:
    """Refines E(x) of each image by Adam on LPIPS + pixels·MSE + pull·(distance from E(x))².

    The distance is measured in standard deviations of w. The pull keeps the codes where G was
    trained; without it, edits of the result work less well.

    Args:
        model: its G draws with constant noise.
        images: uint8 [N, H, W, C] at the model's resolution.
        lpips: an `alae_tf.features.lpips.Lpips`.
        space: "w", one code for all layers; or "styles", a code for each layer, which reproduces
            images more exactly.
        steps: iterations, 1 to 100,000.
        pixels, pull: weights of these terms, 0 or more; LPIPS has weight 1.
        noise: whether each image's noise maps move too.
        progress: whether to show a progress bar.

    Raises:
        LatentError: an option is out of range, or there are no images.

    Reference: Karras et al., StyleGAN2, CVPR 2020, appendix D; Abdal et al., Image2StyleGAN, ICCV
    2019. Starting from an encoder: Zhu et al., ECCV 2016.
    """
    if space not in SPACES:
        raise LatentError(f"space: got {space!r}, expected {' or '.join(SPACES)}")
    if not 1 <= steps <= 100_000:
        raise LatentError(f"steps: got {steps}, expected 1 to 100,000")
    for name, weight in (("pixels", pixels), ("pull", pull)):
        if not isinstance(weight, int | float) or not 0 <= weight < math.inf:
            raise LatentError(f"{name}: got {weight!r}, expected a finite number, 0 or more")
    if not len(images):
        raise LatentError("images: got none, expected at least one")
    before = model.encode(images, layers=space == "styles")
    scale = float(max(model.sample_w(256).std(axis=0).mean(), 1e-6))
    # One trace for each size of a part: `PART`, and that of the last part.
    descent = functools.cache(
        functools.partial(Descent, model, lpips, space, scale, pixels, pull, noise)
    )
    found = []
    with tqdm(total=len(images) * steps, desc="project", leave=False, disable=not progress) as bar:
        for start in range(0, len(images), PART):
            part, codes = images[start : start + PART], before[start : start + PART]
            found.append(descent(len(part)).run(part, codes, steps, bar.update))
    joined = {key: np.concatenate([each[key] for each in found]) for key in found[0]}
    maps = [joined.pop(key) for key in sorted(joined) if key.startswith("noise")]
    drawn = model.decode(before)
    return Projection(before=before, noise=maps or None, reconstructed=drawn, **joined)


@dataclasses.dataclass(eq=False)
class Descent:
    """The descent of `count` images; see `project`. `scale` is the standard deviation of w."""

    model: Autoencoder
    lpips: typing.Any
    space: str
    scale: float
    pixels: float
    pull: float
    noise: bool
    count: int

    def __post_init__(self):
        model, count, side = self.model, self.count, self.model.resolution
        rows = () if self.space == "w" else (model.config.styles,)
        shape = (count, *rows, model.config.latent_size)
        self._target = tf.Variable(tf.zeros([count, side, side, model.config.image_channels]))
        self._start = tf.Variable(tf.zeros(shape))
        self._moved = tf.Variable(tf.zeros(shape))  # in standard deviations of w
        self._constant = model.alae.noise("const", 1, model.level) or []
        self._maps = [
            tf.Variable(np.repeat(each, count, axis=0)) for each in self._constant if self.noise
        ]
        self._adam = keras.optimizers.Adam(RATE, beta_2=0.99)
        self._adam_noise = keras.optimizers.Adam(NOISE_RATE)
        self._adam.build([self._moved])
        self._adam_noise.build(self._maps)
        self._step = tf.function(self._one_step)

    def run(
        self, images: np.ndarray, before: np.ndarray, steps: int, advance: Callable[[int], object]
    ) -> dict[str, np.ndarray]:
        """Projects images [count, H, W, C] with E(x) = before. Returns arrays by the names of
        `Projection`'s attributes, and each noise map as "noise NN"."""
        self._target.assign(ops.to_unit(images))
        self._start.assign(before)
        for variable in (self._moved, *self._adam.variables, *self._adam_noise.variables):
            variable.assign(tf.zeros(variable.shape, variable.dtype))
        for own, constant in zip(self._maps, self._constant, strict=False):
            own.assign(tf.broadcast_to(constant, own.shape))
        curves = []
        for i in range(steps):
            fall = 0.5 * (1 + math.cos(math.pi * i / steps))
            self._adam.learning_rate = RATE * fall
            self._adam_noise.learning_rate = NOISE_RATE * fall
            curves.append(self._step())
            advance(len(images))
        drawn = self._draw()
        curves.append(self._errors(drawn))
        perceptual, squared = (np.stack(each, axis=1) for each in zip(*curves, strict=True))
        found = {
            "after": (self._start + self.scale * self._moved).numpy(),
            "projected": ops.to_pixels(drawn).numpy(),
            "perceptual": perceptual,
            "squared": squared,
        }
        return found | {f"noise {k:02d}": each.numpy() for k, each in enumerate(self._maps)}

    def _draw(self) -> tf.Tensor:
        model, noise = self.model, self._maps or self._constant or None
        codes = self._start + self.scale * self._moved
        return model.alae.decode(codes, model.level, model.blend, noise)

    def _errors(self, drawn: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """LPIPS [count] and mean squared error [count]."""
        perceptual = self.lpips.distance_graph(prepare(drawn), prepare(self._target))
        return perceptual, tf.reduce_mean((drawn - self._target) ** 2, [1, 2, 3])

    def _one_step(self) -> tuple[tf.Tensor, tf.Tensor]:
        """One iteration; returns the errors before it."""
        variables = [self._moved, *self._maps]
        with tf.GradientTape() as tape:
            perceptual, squared = self._errors(self._draw())
            strayed = tf.reduce_mean(tf.reshape(self._moved, [len(self._moved), -1]) ** 2, axis=1)
            pairs = zip(self._maps, self._constant, strict=False)
            maps = [tf.reduce_mean((each - start) ** 2, [1, 2, 3]) for each, start in pairs]
            pull = self.pull * tf.add_n([strayed, *maps])
            loss = perceptual + self.pixels * squared + pull
        gradients = tape.gradient(loss, variables)  # of the sum; no image affects another's
        self._adam.apply([gradients[0]])
        if self._maps:
            self._adam_noise.apply(gradients[1:])
            for own, start in zip(self._maps, self._constant, strict=False):
                own.assign(_with_moments_of(start, own))
        return perceptual, squared


def _with_moments_of(start: np.ndarray, maps: tf.Tensor) -> tf.Tensor:
    """Noise maps [N, H, W, 1], each shifted and scaled to the mean and variance of `start`
    [1, H, W, 1]. Otherwise the descent would fade the noise out, or draw with it.

    Reference: the noise of Karras et al., StyleGAN2, CVPR 2020, appendix D.
    """
    mean, variance = tf.nn.moments(maps, [1, 2, 3], keepdims=True)
    return (maps - mean) * tf.math.rsqrt(variance + 1e-8) * start.std() + start.mean()
