"""E of StyleALAE: image → w."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from alae_tf.networks import ops
from alae_tf.networks.functional import copied
from alae_tf.networks.grown import Grown
from alae_tf.networks.layers import EqualizedConv2D, EqualizedDense
from alae_tf.networks.ops import Blend


@keras.saving.register_keras_serializable("alae_tf")
class PlainBlock(keras.layers.Layer):
    """One resolution of an image network without styles: two convolutions, the second of which
    halves the size. Nothing is normalised, since there is no style to take out.

    Args:
        inputs: int. Channels in.
        channels: int. Channels out.
        minibatch_std: bool. Whether to append a channel that measures how much the images of a
            group differ (`ops.minibatch_std`).

    Call:
        x: [N, H, W, inputs].
        Returns features [N, H/2, W/2, channels].

    Reference: the discriminators of ProGAN and StyleGAN.
    """

    def __init__(self, inputs: int, channels: int, minibatch_std: bool = False, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.inputs, self.channels, self.minibatch_std = inputs, channels, minibatch_std
        self.conv_1 = EqualizedConv2D(inputs + minibatch_std, inputs, dtype=self.dtype_policy)
        self.conv_2 = EqualizedConv2D(inputs, channels, sampling="down", dtype=self.dtype_policy)
        zeros: dict[str, Any] = dict(initializer="zeros", autocast=False)
        self.bias_1 = self.add_weight(name="bias_1", shape=(inputs,), **zeros)
        self.bias_2 = self.add_weight(name="bias_2", shape=(channels,), **zeros)
        self.built = True

    def call(self, x: tf.Tensor) -> tf.Tensor:
        x = ops.minibatch_std(x) if self.minibatch_std else x
        return self.halve(self.convolve(x))

    def convolve(self, x: tf.Tensor) -> tf.Tensor:
        """The first convolution: [N, H, W, inputs] → the same."""
        x = self.conv_1(x)
        return ops.leaky_relu(x + tf.cast(self.bias_1, x.dtype))

    def halve(self, x: tf.Tensor) -> tf.Tensor:
        """Blur and the second convolution: [N, H, W, inputs] → [N, H/2, W/2, channels]."""
        x = self.conv_2(ops.blur(x))
        return ops.leaky_relu(x + tf.cast(self.bias_2, x.dtype))

    def maps(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """(features out, the feature map of the first convolution, that of the second)."""
        first = self.convolve(x)
        second = self.halve(first)
        return second, first, second

    def get_config(self):
        names = ("inputs", "channels", "minibatch_std")
        return super().get_config() | {name: getattr(self, name) for name in names}


@keras.saving.register_keras_serializable("alae_tf")
class EncoderBlock(PlainBlock):
    """One resolution of E: takes the style out of the features twice and halves the size.

    Args:
        inputs: int. Channels in.
        channels: int. Channels out.
        latent_size: int. Length of w.

    Call:
        x: [N, H, W, inputs].
        Returns (features [N, H/2, W/2, channels], this block's share of w, float32
        [N, latent_size]).

    Reference: Fig. 3 (left); the sum over blocks is w = Σ C_i [μ; σ].
    """

    def __init__(self, inputs: int, channels: int, latent_size: int, **kwargs):
        super().__init__(inputs, channels, **kwargs)
        self.latent_size = latent_size
        self.to_w_1 = EqualizedDense(2 * inputs, latent_size, dtype=self.variable_dtype)
        self.to_w_2 = EqualizedDense(2 * channels, latent_size, dtype=self.variable_dtype)

    def call(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        x, style_1, style_2 = self.styled(x)
        return x, self.to_w_1(style_1) + self.to_w_2(style_2)

    def styled(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Features out, and the two styles taken out of them, means and deviations per channel:
        [N, 2·inputs] and [N, 2·channels]."""
        x, style_1 = ops.split_style(self.convolve(x))
        x, style_2 = ops.split_style(self.halve(x))  # [N, H/2, W/2, channels]
        return x, style_1, style_2

    def maps(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """As in `PlainBlock`; both maps before their style is taken out."""
        first = self.convolve(x)
        second = self.halve(ops.instance_norm(first, ops.EPSILON_ENCODER))
        return ops.instance_norm(second, ops.EPSILON_ENCODER), first, second

    def get_config(self):
        return super().get_config() | {"latent_size": self.latent_size}


@keras.saving.register_keras_serializable("alae_tf")
class LayeredBlock(EncoderBlock):
    """One resolution of `LayeredEncoder`.

    Args:
        layout: int. Side of the grid on which the block's features are averaged.
        inputs, channels, latent_size: as in `EncoderBlock`.

    Call:
        x: [N, H, W, inputs].
        Returns (features, this block's share of w, its share of the corrections' hidden layer,
        float32 [N, 2·latent_size]).

    Styles are statistics of the whole image, and do not say where things are. The corrections are
    therefore also computed from the block's features, averaged over `layout` × `layout` fields.
    """

    def __init__(self, inputs: int, channels: int, latent_size: int, layout: int, **kwargs):
        super().__init__(inputs, channels, latent_size, **kwargs)
        self.layout = layout
        self.to_hidden = EqualizedDense(
            2 * inputs + (2 + layout**2) * channels, 2 * latent_size, dtype=self.variable_dtype
        )

    def call(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        x, style_1, style_2 = self.styled(x)
        fields = tf.nn.avg_pool2d(x, x.shape[1] // self.layout, x.shape[1] // self.layout, "VALID")
        fields = tf.reshape(fields, [-1, self.layout**2 * self.channels])
        seen = tf.concat([style_1, style_2, tf.cast(fields, style_1.dtype)], axis=1)
        return x, self.to_w_1(style_1) + self.to_w_2(style_2), self.to_hidden(seen)

    def get_config(self):
        return super().get_config() | {"layout": self.layout}


@keras.saving.register_keras_serializable("alae_tf")
class Encoder(Grown):
    """E of StyleALAE: the encoder, and the body of the discriminator D∘E.

    Args, by name: as in `Grown`.

    Call:
        x: float32 [N, H, W, image_channels] in [−1, 1], H = W = 4·2^level.
        level: int; default: full resolution.
        blend: float or scalar tensor in [0, 1]: how much of the level's own block is faded in.
        Returns w: float32 [N, latent_size].

    Raises:
        ValueError: x of another shape, or no such level.

    Reference: E of Fig. 1 and Fig. 3 (left). Block 0 works at full resolution, so level l starts
    at block levels−1−l.
    """

    def __init__(self, **sizes):
        super().__init__(**sizes)
        widths = [self.width(i) for i in range(self.levels + 1)]
        self.from_rgb = [
            EqualizedConv2D(self.image_channels, c, 1, use_bias=True, dtype=self.dtype_policy)
            for c in widths[:-1]
        ]
        self.blocks = [
            self.make_block(i, *channels) for i, channels in enumerate(itertools.pairwise(widths))
        ]
        self.built = True

    def make_block(self, index: int, inputs: int, channels: int) -> PlainBlock:
        """A new block; block 0 works at full resolution."""
        return EncoderBlock(inputs, channels, self.latent_size, dtype=self.dtype_policy)

    def call(self, x: tf.Tensor, level: int | None = None, blend: Blend = 1.0) -> tf.Tensor:
        _, shares = self.walk(x, level, blend, EncoderBlock.__call__)
        return functools.reduce(operator.add, shares)

    def codes(
        self, x: tf.Tensor, level: int | None = None, blend: Blend = 1.0
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """(w [N, latent_size], None): this E gives no corrections for the layers of G.
        Args: as in `call`."""
        return self(x, level=level, blend=blend), None

    def maps(self, x: tf.Tensor, level: int | None = None, blend: Blend = 1.0) -> list[tf.Tensor]:
        """The feature maps of all convolutions, [N, H, W, C] each. Args: as in `call`."""
        _, maps = self.walk(x, level, blend, lambda block, features: block.maps(features))
        return maps

    def walk(
        self,
        x: tf.Tensor,
        level: int | None,
        blend: Blend | None,
        visit: Callable[..., Sequence[tf.Tensor]],
        features: Callable[[tf.Tensor, int], tf.Tensor] | None = None,
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Sends images through the blocks, from that of `level` to the last.

        Args:
            x, level, blend: as in `call`; with blend None, the next coarser level is not computed.
            visit: (block, features) → (features out, *further outputs of the block).
            features: used instead of the method `features`.

        Returns:
            (the last features, all further outputs in order), with those of the first block faded
            in by `blend`.
        """
        first = self.first_block(x, level)
        features = features or self.features
        maps, *given = visit(self.blocks[first], features(x, first))
        if first < self.levels - 1 and blend is not None:
            maps = ops.lerp(features(ops.downsample2(x), first + 1), maps, blend)
            given = [ops.scale(each, blend) for each in given]
        for block in self.blocks[first + 1 :]:
            maps, *more = visit(block, maps)
            given += more
        return maps, given

    def first_block(self, x: tf.Tensor, level: int | None) -> int:
        """Checks the arguments of `call`; returns the index of the first block of `level`."""
        level = self.levels - 1 if level is None else level
        ops.check_level(level, self.levels)
        ops.check_shape("x", x, 4 * 2**level, 4 * 2**level, self.image_channels)
        return self.levels - 1 - level

    def long_features(
        self, x: tf.Tensor, level: int | None = None, blend: Blend = 1.0
    ) -> tf.Tensor:
        """The styles from which `call` computes w, concatenated: [N, Σ 2C]. Args: as in `call`."""
        _, styles = self.walk(x, level, blend, EncoderBlock.styled)
        return tf.concat(styles, axis=1)

    def features(self, x: tf.Tensor, block: int) -> tf.Tensor:
        """Image → the input of `block`. The released model applies leaky ReLU twice."""
        return ops.leaky_relu(ops.leaky_relu(self.from_rgb[block](x)))

    def functional(self, x: Any, level: int, blend: float, corrections: bool = False) -> Any:
        """`codes` as a graph of copied layers, see `alae_tf.networks.functional`.

        Args:
            x: a `keras.Input`, images.
            level, blend: as in `call`.
            corrections: whether the graph also outputs corrections, if E gives any.
        """
        _, shares = self.walk_copies(x, level, blend, EncoderBlock)
        return functools.reduce(operator.add, shares), None

    def walk_copies(self, x: Any, level: int, blend: float, kind: type) -> tuple[Any, list]:
        """`walk` as a graph of copied layers, with the blocks as layers of class `kind`."""

        def visit(block, x):
            given = copied(block, f"block_{x.shape[1]}", kind)(x)
            return given if isinstance(given, tuple) else (given,)

        def features(x, block):
            x = copied(self.from_rgb[block], f"from_rgb_{x.shape[1]}")(x)
            return ops.leaky_relu(ops.leaky_relu(x))

        return self.walk(x, level, None if blend == 1 else blend, visit, features)


@keras.saving.register_keras_serializable("alae_tf")
class LayeredEncoder(Encoder):
    """E that also gives a correction of w for each layer of G, `--encoder_codes=layers`.

    Args, by name, Call, Raises: as in `Encoder`.

    A trained G can draw a photograph much more exactly from a code for each layer than from one w.
    The corrections start at 0, so that a model trained without them is unchanged at first. D, the
    latent reconstruction and directions use w alone.
    Reference: pSp (Richardson et al., CVPR 2021) and e4e (Tov et al., SIGGRAPH 2021), whose
    regulariser keeps the corrections small; not in the paper.
    """

    LAYOUT = 4  # of all blocks but the last, which has only 2×2 features

    def __init__(self, **sizes):
        super().__init__(**sizes)
        self.to_corrections = EqualizedDense(
            2 * self.latent_size, 2 * self.levels * self.latent_size, dtype=self.variable_dtype
        )
        self.to_corrections.kernel.assign(tf.zeros_like(self.to_corrections.kernel))

    def make_block(self, index: int, inputs: int, channels: int) -> PlainBlock:
        layout = 2 if index == self.levels - 1 else self.LAYOUT
        return LayeredBlock(inputs, channels, self.latent_size, layout, dtype=self.dtype_policy)

    def call(self, x: tf.Tensor, level: int | None = None, blend: Blend = 1.0) -> tf.Tensor:
        return self.codes(x, level, blend)[0]

    def codes(
        self, x: tf.Tensor, level: int | None = None, blend: Blend = 1.0
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """(w [N, latent_size], its corrections [N, 2·levels, latent_size]). Args: as in `call`."""
        _, shares = self.walk(x, level, blend, LayeredBlock.__call__)
        w, hidden = (functools.reduce(operator.add, shares[i::2]) for i in range(2))
        corrections = self.to_corrections(ops.leaky_relu(hidden))
        return w, tf.reshape(corrections, [-1, 2 * self.levels, self.latent_size])

    def functional(self, x: Any, level: int, blend: float, corrections: bool = False) -> Any:
        """See `Encoder.functional`."""
        if not corrections:
            return super().functional(x, level, blend)
        _, shares = self.walk_copies(x, level, blend, LayeredBlock)
        w, hidden = (functools.reduce(operator.add, shares[i::2]) for i in range(2))
        given = copied(self.to_corrections, "to_corrections")(ops.leaky_relu(hidden))
        return w, keras.ops.reshape(given, [-1, 2 * self.levels, self.latent_size])


@keras.saving.register_keras_serializable("alae_tf")
class DenseEncoder(Encoder):
    """E without styles: w is a dense layer of the last feature map, [N, 2, 2, C].

    Args, by name, Call, Raises: as in `Encoder`.

    The ablation *no style*, `--encoder_head=dense`: the same convolutions, blur, activation and
    growing, in blocks that neither output a style nor normalise it away.
    """

    def __init__(self, **sizes):
        super().__init__(**sizes)
        features = 4 * self.blocks[-1].channels
        self.to_w = EqualizedDense(features, self.latent_size, dtype=self.variable_dtype)

    def make_block(self, index: int, inputs: int, channels: int) -> PlainBlock:
        return PlainBlock(inputs, channels, dtype=self.dtype_policy)

    def call(self, x: tf.Tensor, level: int | None = None, blend: Blend = 1.0) -> tf.Tensor:
        return self.to_w(self.long_features(x, level, blend))

    def long_features(
        self, x: tf.Tensor, level: int | None = None, blend: Blend = 1.0
    ) -> tf.Tensor:
        """The last feature map, from which `call` computes w: [N, 4C]. Args: as in `call`."""
        features, _ = self.walk(x, level, blend, lambda block, features: [block(features)])
        return tf.reshape(features, [-1, self.to_w.inputs])

    def functional(self, x: Any, level: int, blend: float, corrections: bool = False) -> Any:
        """See `Encoder.functional`."""
        features, _ = self.walk_copies(x, level, blend, PlainBlock)
        features = keras.ops.reshape(features, [-1, self.to_w.inputs])
        return copied(self.to_w, "to_w")(features), None
