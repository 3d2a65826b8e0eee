"""F: z → w."""

from __future__ import annotations

import keras
import tensorflow as tf

from alae_tf.networks import ops
from alae_tf.networks.layers import EqualizedDense


@keras.saving.register_keras_serializable("alae_tf")
class MappingNetwork(keras.Model):
    """F, the mapping network: bends the normal z into the learned distribution of w.

    Args:
        latent_size: int. Length of z and of w.
        layers: int. Dense layers, each followed by a leaky ReLU.

    Call:
        z: float32 [N, latent_size], drawn from N(0, I).
        Returns w: float32 [N, latent_size].

    Reference: F of Fig. 1; the mapping network of StyleGAN.
    """

    def __init__(self, latent_size: int, layers: int, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.latent_size, self.layer_count = latent_size, layers
        self.dense = [
            EqualizedDense(latent_size, latent_size, lr_multiplier=0.1, dtype=self.dtype_policy)
            for _ in range(layers)
        ]
        self.built = True

    def call(self, z: tf.Tensor) -> tf.Tensor:
        w = ops.pixel_norm(z)
        for dense in self.dense:
            w = ops.leaky_relu(dense(w))
        return w

    def get_config(self):
        sizes = {"latent_size": self.latent_size, "layers": self.layer_count}
        return super().get_config() | sizes
