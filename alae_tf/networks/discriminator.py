"""D: w → logit, or, as a separate network, image → logit."""

from __future__ import annotations

import keras
import tensorflow as tf

from alae_tf.networks.encoder import DenseEncoder, PlainBlock
from alae_tf.networks.layers import EqualizedDense
from alae_tf.networks.ops import Blend


@keras.saving.register_keras_serializable("alae_tf")
class Discriminator(keras.Model):
    """D of D∘E: distinguishes real images from generated ones by their w.

    Args:
        latent_size: int. Length of w.
        layers: int. Dense layers, with no activation between them (as released).

    Call:
        w: float32 [N, latent_size].
        Returns logits: float32 [N]; positive means real.

    Reference: D of Fig. 1. The last layer of the released model has 2·latent outputs, of which one
    is the logit; this one has only that output.
    """

    def __init__(self, latent_size: int, layers: int = 3, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.latent_size, self.layer_count = latent_size, layers
        units = [latent_size] * (layers - 1) + [1]
        self.dense = [
            EqualizedDense(latent_size, n, lr_multiplier=0.1, dtype=self.dtype_policy)
            for n in units
        ]
        self.built = True

    def call(self, w: tf.Tensor) -> tf.Tensor:
        for dense in self.dense:
            w = dense(w)
        return w[:, 0]

    def get_config(self):
        sizes = {"latent_size": self.latent_size, "layers": self.layer_count}
        return super().get_config() | sizes


@keras.saving.register_keras_serializable("alae_tf")
class ImageDiscriminator(DenseEncoder):
    """D of a StyleALAE whose E is not part of the discriminator, `--discriminator=separate`.

    Args: as in `Encoder`, by name; latent_size is ignored.

    Call:
        x, level, blend: as in `Encoder`.
        Returns logits: float32 [N]; positive means real.

    Raises: as in `Encoder`.

    It has the shape of E without styles, and returns one logit in place of w. Before the last block
    (4×4 pixels), the minibatch standard deviation shows D whether a group of images is as varied as
    real ones.
    Reference: the discriminators of ProGAN and StyleGAN. Not in the paper; the authors' history has
    another separate model (docs/decisions.md).
    """

    def __init__(self, **sizes):
        super().__init__(**sizes | {"latent_size": 1})

    def make_block(self, index: int, inputs: int, channels: int) -> PlainBlock:
        last = index == self.levels - 1
        return PlainBlock(inputs, channels, minibatch_std=last, dtype=self.dtype_policy)

    def call(self, x: tf.Tensor, level: int | None = None, blend: Blend = 1.0) -> tf.Tensor:
        return super().call(x, level, blend)[:, 0]
