"""G of StyleALAE: styles and noise → image."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from alae_tf.networks import ops
from alae_tf.networks.functional import copied
from alae_tf.networks.grown import Grown
from alae_tf.networks.layers import EqualizedConv2D, EqualizedDense
from alae_tf.networks.ops import Blend


@keras.saving.register_keras_serializable("alae_tf")
class GeneratorBlock(keras.layers.Layer):
    """One resolution of G: noise, bias, leaky ReLU and a new style (AdaIN), twice.

    Args:
        inputs: int. Channels in; None for the first block, which starts from the constant.
        channels: int. Channels out.
        latent_size: int. Length of a style vector.

    Call:
        x: [N, H, W, inputs] (first block: the constant, [N, 4, 4, channels]).
        styles: two float32 [N, latent_size].
        noise: two [N or 1, 2H, 2W, 1] (first block: H, W), or None for no noise.
        Returns [N, 2H, 2W, channels] (first block: H, W).

    Reference: Fig. 3 (right).
    """

    def __init__(self, inputs: int | None, channels: int, latent_size: int, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.inputs, self.channels, self.latent_size = inputs, channels, latent_size
        self.conv_1 = None
        if inputs is not None:
            self.conv_1 = EqualizedConv2D(inputs, channels, sampling="up", dtype=self.dtype_policy)
        self.conv_2 = EqualizedConv2D(channels, channels, dtype=self.dtype_policy)
        zeros: dict[str, Any] = dict(shape=(channels,), initializer="zeros", autocast=False)
        self.noise_1 = self.add_weight(name="noise_1", **zeros)
        self.noise_2 = self.add_weight(name="noise_2", **zeros)
        self.bias_1 = self.add_weight(name="bias_1", **zeros)
        self.bias_2 = self.add_weight(name="bias_2", **zeros)
        style: dict[str, Any] = dict(gain=1.0, dtype=self.variable_dtype)
        self.style_1 = EqualizedDense(latent_size, 2 * channels, **style)
        self.style_2 = EqualizedDense(latent_size, 2 * channels, **style)
        self.built = True

    def call(
        self, x: tf.Tensor, styles: list[tf.Tensor], noise: list[tf.Tensor] | None = None
    ) -> tf.Tensor:
        if self.conv_1 is not None:
            x = ops.blur(self.conv_1(x))  # [N, 2H, 2W, C]
        noise_1, noise_2 = noise or (None, None)
        x = activate(x, self.noise_1, noise_1, self.bias_1)
        x = ops.modulate(ops.instance_norm(x), self.style_1(styles[0]))
        x = activate(self.conv_2(x), self.noise_2, noise_2, self.bias_2)
        return ops.modulate(ops.instance_norm(x), self.style_2(styles[1]))

    def get_config(self):
        names = ("inputs", "channels", "latent_size")
        return super().get_config() | {name: getattr(self, name) for name in names}


@keras.saving.register_keras_serializable("alae_tf")
class ConstantNoiseBlock(GeneratorBlock):
    """A `GeneratorBlock` with constant noise (`noise_mode="const"`), for `Generator.functional`.

    Args:
        index: int. Number of the block, from 0; block 0 also has G's constant as a weight.
        inputs, channels, latent_size: as in `GeneratorBlock`.

    Call:
        inputs: [features, style, style] as in `GeneratorBlock`; of block 0 [style, style].
        Returns features as in `GeneratorBlock`.
    """

    def __init__(self, inputs: int | None, channels: int, latent_size: int, index: int, **kwargs):
        super().__init__(inputs, channels, latent_size, **kwargs)
        self.index = index
        if index == 0:
            self.constant = self.add_weight(
                shape=(4, 4, channels), initializer="ones", autocast=False, name="constant"
            )

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        *features, style_1, style_2 = inputs
        x = features[0] if features else self.constant[tf.newaxis]
        noise = [constant_noise(2 * self.index + k, 4 * 2**self.index) for k in range(2)]
        return super().call(x, [style_1, style_2], noise)

    def get_config(self):
        return super().get_config() | {"index": self.index}


def constant_noise(number: int, side: int) -> np.ndarray:
    """The noise map `number` of G with noise_mode "const": float32 [1, side, side, 1]."""
    return np.random.default_rng(number).standard_normal((1, side, side, 1), dtype=np.float32)


def activate(
    x: tf.Tensor, strength: tf.Tensor, noise: tf.Tensor | None, bias: tf.Tensor
) -> tf.Tensor:
    """leaky ReLU(x + strength·noise + bias): one noise map, with a learned strength per channel."""
    strength, bias = tf.cast(strength, x.dtype), tf.cast(bias, x.dtype)
    if noise is not None:
        x = x + strength * tf.cast(noise, x.dtype)
    return ops.leaky_relu(x + bias)


@keras.saving.register_keras_serializable("alae_tf")
class Generator(Grown):
    """G of StyleALAE: draws an image from coarse to fine, one block per resolution.

    Args, by name: as in `Grown`.

    Call:
        styles: float32 [N, 2·levels, latent_size], two per block, the coarsest first.
        level: int. The side of the image is 4·2^level pixels; default: full resolution.
        blend: float or scalar tensor in [0, 1]: how much of the level's own block is faded in.
        noise: a list of 2·(level+1) maps [N, H, W, 1] (the first may be [1, 4, 4, 1]: the
            released model draws one for the whole batch), or None for no noise.
        Returns the image: float32 [N, H, W, image_channels], about [−1, 1], not clipped.

    Raises:
        ValueError: styles or noise of another shape or number, or no such level.

    Reference: G of Fig. 1 and Fig. 3 (right); the synthesis network of StyleGAN.
    """

    def __init__(self, **sizes):
        super().__init__(**sizes)
        channels = [self.width(i) for i in reversed(range(self.levels))]
        inputs = [None, *channels[:-1]]
        self.constant = self.add_weight(
            shape=(4, 4, channels[0]), initializer="ones", autocast=False, name="constant"
        )
        self.blocks = [
            GeneratorBlock(i, c, self.latent_size, dtype=self.dtype_policy)
            for i, c in zip(inputs, channels, strict=True)
        ]
        rgb: dict[str, Any] = dict(gain=0.03, use_bias=True, dtype=self.variable_dtype)
        self.to_rgb = [EqualizedConv2D(c, self.image_channels, 1, **rgb) for c in channels]
        self.built = True

    def call(
        self,
        styles: tf.Tensor,
        level: int | None = None,
        blend: Blend = 1.0,
        noise: list[tf.Tensor] | None = None,
    ) -> tf.Tensor:
        level = self.levels - 1 if level is None else level
        ops.check_level(level, self.levels)
        ops.check_shape("styles", styles, 2 * self.levels, self.latent_size)
        self.check_noise(noise, level)
        x = self.constant[tf.newaxis]  # [1, 4, 4, C]; the first style brings in N
        if level < self.levels - 1:  # LiteRT does not compute unused outputs of a split
            styles = styles[:, : 2 * (level + 1)]
        # Split and reshape, unlike slices, run on TFLite's delegates.
        styles = tf.split(styles, styles.shape[1], axis=1)
        styles = [tf.reshape(style, [-1, self.latent_size]) for style in styles]
        for i, block in enumerate(self.blocks[: level + 1]):
            coarser = x
            pair = slice(2 * i, 2 * i + 2)
            x = block(x, styles=styles[pair], noise=noise and noise[pair])
        image = self.to_rgb[level](x)
        if level == 0:
            return image
        return ops.lerp(ops.upsample2(self.to_rgb[level - 1](coarser)), image, blend)

    def functional(self, styles: list, level: int, blend: float) -> Any:
        """`call` with constant noise as a graph of copied layers, see
        `alae_tf.networks.functional`.

        Args:
            styles: `keras.Input`s or results of Keras layers [N, latent_size], two per block.
            level, blend: as in `call`.
        """
        features: list[Any] = []
        for i, block in enumerate(self.blocks[: level + 1]):
            copy = copied(block, f"block_{4 * 2**i}", ConstantNoiseBlock, index=i)
            if i == 0:
                copy.constant.assign(self.constant)
            features.append(copy([*features[-1:], *styles[2 * i : 2 * i + 2]]))
        image = copied(self.to_rgb[level], f"to_rgb_{4 * 2**level}")(features[-1])
        if level == 0 or blend == 1:
            return image
        coarser = copied(self.to_rgb[level - 1], f"to_rgb_{2 * 2**level}")(features[-2])
        return ops.lerp(ops.upsample2(coarser), image, blend)

    def check_noise(self, noise: list[tf.Tensor] | None, level: int) -> None:
        """Checks the noise of `call`."""
        shapes = self.noise_shapes(1, level)
        if noise and len(noise) != len(shapes):
            raise ValueError(f"noise: got {len(noise)} maps, expected {len(shapes)}")
        for k, (found, shape) in enumerate(zip(noise or [], shapes, strict=False)):
            ops.check_shape(f"noise {k}", found, *shape[1:])

    def noise_shapes(
        self, batch: int | tf.Tensor, level: int | None = None
    ) -> list[tuple[int | tf.Tensor, int, int, int]]:
        """Shapes of the noise maps of `call`, in order, for `batch` images at `level`."""
        level = self.levels - 1 if level is None else level
        sides = [4 * 2**i for i in range(level + 1) for _ in range(2)]
        batches = [1] + [batch] * (len(sides) - 1)
        return [(n, side, side, 1) for n, side in zip(batches, sides, strict=True)]
