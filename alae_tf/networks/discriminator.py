"""D: w → logit."""

from __future__ import annotations

import keras
import tensorflow as tf

from alae_tf.networks.layers import EqualizedDense


@keras.saving.register_keras_serializable("alae_tf")
class Discriminator(keras.Model):
    """D, which with E before it tells real images from generated ones.

    Args:
        latent_size: int. Length of w.
        layers: int. Dense layers, with no activation between them (as released).

    Call:
        w: float32 [N, latent_size].
        Returns logits: float32 [N]; positive means real.

    Reference: D of Fig. 1. The released model's last layer has 2·latent outputs, of which one is
    the logit; this one has that output alone.
    """

    def __init__(self, latent_size: int, layers: int = 3, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.latent_size, self.layer_count = latent_size, layers
        units = [latent_size] * (layers - 1) + [1]
        self.dense = [EqualizedDense(latent_size, n, lr_multiplier=0.1) for n in units]
        self.built = True

    def call(self, w: tf.Tensor) -> tf.Tensor:
        for dense in self.dense:
            w = dense(w)
        return w[:, 0]

    def get_config(self):
        return super().get_config() | {
            "latent_size": self.latent_size,
            "layers": self.layer_count,
        }
