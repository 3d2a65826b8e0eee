"""E as a readout of the features of a separate D: image → w."""

from __future__ import annotations

import functools
import itertools
import operator
from typing import Any

import keras
import tensorflow as tf

from alae_tf.networks import ops
from alae_tf.networks.discriminator import ImageDiscriminator
from alae_tf.networks.encoder import PlainBlock
from alae_tf.networks.functional import copied
from alae_tf.networks.grown import Grown
from alae_tf.networks.layers import EqualizedDense
from alae_tf.networks.ops import Blend


@keras.saving.register_keras_serializable("alae_tf")
class Readout(Grown):
    """E without convolutions of its own: w is a sum of projected styles of D's feature maps.

    Args, by name: as in `Grown`; the sizes are those of D.

    Call:
        x, level, blend: as in `Encoder`.
        Returns w: float32 [N, latent_size].

    Raises: as in `Encoder`.

    The ablation `--encoder_head=readout`, with a separate D, asks whether the features by which D
    judges are what a good E needs. Only the projections are trained as E; the gradients of E's
    updates pass through D's features, but do not move D. For E, the minibatch standard deviation is
    0, so that the code of an image does not depend on the other images in its batch.
    """

    def __init__(self, **sizes):
        super().__init__(**sizes)
        widths = [self.width(i) for i in range(self.levels + 1)]
        self.to_w = [
            EqualizedDense(2 * channels, self.latent_size, dtype=self.variable_dtype)
            for channels in itertools.chain.from_iterable(itertools.pairwise(widths))
        ]
        self.built = True

    def attach(self, D: ImageDiscriminator) -> None:
        """Makes this E read the features of D."""
        self._D = lambda: D  # in a function, so that Keras does not count D's weights as E's

    def call(self, x: tf.Tensor, level: int | None = None, blend: Blend = 1.0) -> tf.Tensor:
        styles = self.styles(x, level, blend)
        layers = self.to_w[-len(styles) :]
        return functools.reduce(operator.add, map(EqualizedDense.__call__, layers, styles))

    def codes(
        self, x: tf.Tensor, level: int | None = None, blend: Blend = 1.0
    ) -> tuple[tf.Tensor, None]:
        """As `Encoder.codes`."""
        return self(x, level=level, blend=blend), None

    def styles(self, x: tf.Tensor, level: int | None = None, blend: Blend = 1.0) -> list[tf.Tensor]:
        """Means and deviations per channel of D's feature maps, [N, 2C] each."""
        _, styles = self._D().walk(x, level, blend, _styled)
        return styles

    def long_features(
        self, x: tf.Tensor, level: int | None = None, blend: Blend = 1.0
    ) -> tf.Tensor:
        """The styles from which `call` computes w, concatenated: [N, Σ 2C]. Args: as in `call`."""
        return tf.concat(self.styles(x, level, blend), axis=1)

    def maps(self, x: tf.Tensor, level: int | None = None, blend: Blend = 1.0) -> list[tf.Tensor]:
        """The feature maps of D's convolutions, as `Encoder.maps`."""
        return self._D().walk(x, level, blend, _alone)[1]

    def functional(self, x: Any, level: int, blend: float, corrections: bool = False) -> Any:
        """See `Encoder.functional`; the graph also has a copy of D's blocks."""
        _, styles = self._D().walk_copies(x, level, blend, StyledBlock)
        layers = self.to_w[-len(styles) :]
        shares = [
            copied(layer, f"to_w_{k}")(style)
            for k, (layer, style) in enumerate(zip(layers, styles, strict=True))
        ]
        return functools.reduce(operator.add, shares), None


@keras.saving.register_keras_serializable("alae_tf")
class StyledBlock(PlainBlock):
    """A block of D that also gives its styles, for `Readout.functional`. Args: as in `PlainBlock`.

    Call:
        x: [N, H, W, inputs].
        Returns (features [N, H/2, W/2, channels], means and deviations of its two feature maps,
        float32 [N, 2·inputs] and [N, 2·channels]).
    """

    def call(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        return _styled(self, x)


def _alone(block: PlainBlock, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """`block.maps`, with each image as a group of its own: minibatch standard deviation 0."""
    x = tf.pad(x, [[0, 0], [0, 0], [0, 0], [0, 1]]) if block.minibatch_std else x
    return block.maps(x)


def _styled(block: PlainBlock, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    x, first, second = _alone(block, x)
    return x, ops.split_style(first)[1], ops.split_style(second)[1]
