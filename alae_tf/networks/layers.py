"""Layers that StyleALAE and MLP-ALAE share: equalised dense and convolution.

Equalised learning rate ("LREQ"): with c = gain / √fan_in · lr_multiplier, a kernel is initialised
from N(0, (c / lr_multiplier)²); the optimizer multiplies its steps by c, and those of the layer's
bias by lr_multiplier. Both factors are stored on the variables as `step_factor` for
`alae_tf.training.optimizer.LREQAdam`; the default is 1.
"""

from __future__ import annotations

import math

import keras
import tensorflow as tf

from alae_tf.networks import kernels, ops

SQRT_2 = math.sqrt(2.0)


class Equalized(keras.layers.Layer):
    """The base of the equalised layers: a kernel and an optional bias.

    Args:
        shape: shape of the kernel, with the channels out last.
        fan_in: number of inputs of one output.
        gain: float. Gain of the initialisation.
        lr_multiplier: float. Factor of the layer's learning rate.
        use_bias: bool.
    """

    def __init__(self, shape, fan_in, gain, lr_multiplier, use_bias, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.gain, self.lr_multiplier, self.use_bias = gain, lr_multiplier, use_bias
        std = gain / math.sqrt(fan_in)
        self.kernel = self.add_weight(
            shape=shape,
            initializer=keras.initializers.RandomNormal(stddev=std),
            autocast=False,
            name="kernel",
        )
        self.kernel.step_factor = std * lr_multiplier
        self.bias = None
        if use_bias:
            self.bias = self.add_weight(
                shape=(shape[-1],), initializer="zeros", autocast=False, name="bias"
            )
            self.bias.step_factor = lr_multiplier
        self.built = True

    def get_config(self):
        names = ("gain", "lr_multiplier", "use_bias")
        return super().get_config() | {name: getattr(self, name) for name in names}


@keras.saving.register_keras_serializable("alae_tf")
class EqualizedDense(Equalized):
    """Dense layer with an equalised learning rate, in the dtype of its weights.

    Args:
        inputs: int. Length of the input.
        units: int. Length of the output.
        gain: float. √2 suits a following leaky ReLU.
        lr_multiplier: float. 0.1 in F and D.
        use_bias: bool.

    Call:
        x: float32 [N, inputs] → float32 [N, units].
    """

    def __init__(
        self,
        inputs: int,
        units: int,
        gain: float = SQRT_2,
        lr_multiplier: float = 1.0,
        use_bias: bool = True,
        **kwargs,
    ):
        super().__init__((inputs, units), inputs, gain, lr_multiplier, use_bias, **kwargs)
        self.inputs, self.units = inputs, units

    def call(self, x: tf.Tensor) -> tf.Tensor:
        x = tf.cast(x, self.variable_dtype) @ self.kernel
        return x if self.bias is None else x + self.bias

    def get_config(self):
        return super().get_config() | {"inputs": self.inputs, "units": self.units}


@keras.saving.register_keras_serializable("alae_tf")
class EqualizedConv2D(Equalized):
    """Convolution with an equalised learning rate and zero padding.

    Args:
        inputs: int. Channels in.
        filters: int. Channels out.
        kernel_size: int. 1 or 3.
        sampling: None, "down" (halves H and W after the convolution) or "up" (doubles them
            before it); each fused into one stride-2 convolution.
        gain, lr_multiplier, use_bias: as in `EqualizedDense`.

    Attributes:
        winograd: bool. Whether to use the kernels with fewer multiplications
            (`alae_tf.networks.kernels`) where they apply; training on CPUs sets it where they are
            faster.

    Call:
        x: [N, H, W, inputs] → [N, H', W', filters] in the layer's compute dtype.
    """

    winograd = False

    def __init__(
        self,
        inputs: int,
        filters: int,
        kernel_size: int = 3,
        sampling: str | None = None,
        gain: float = SQRT_2,
        lr_multiplier: float = 1.0,
        use_bias: bool = False,
        **kwargs,
    ):
        shape = (kernel_size, kernel_size, inputs, filters)
        super().__init__(shape, inputs * kernel_size**2, gain, lr_multiplier, use_bias, **kwargs)
        self.inputs, self.filters, self.kernel_size = inputs, filters, kernel_size
        self.sampling = sampling
        names = {None: "conv", "down": "downsample_conv", "up": "upsample_conv"}
        self.convolution = names[sampling]

    def call(self, x: tf.Tensor) -> tf.Tensor:
        dtype = self.compute_dtype
        x, kernel = tf.cast(x, dtype), tf.cast(self.kernel, dtype)
        chosen = kernels if self.winograd and kernels.suits(x, kernel) else ops
        x = getattr(chosen, self.convolution)(x, kernel)
        return x if self.bias is None else x + tf.cast(self.bias, dtype)

    def get_config(self):
        names = ("inputs", "filters", "kernel_size", "sampling")
        return super().get_config() | {name: getattr(self, name) for name in names}
