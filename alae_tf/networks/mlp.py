"""The networks of MLP-ALAE, for the permutation-invariant MNIST of the paper's section 4.1."""

from __future__ import annotations

import itertools
from typing import Any

import keras
import tensorflow as tf

from alae_tf.config import Config
from alae_tf.networks import ops
from alae_tf.networks.discriminator import Discriminator
from alae_tf.networks.functional import copied
from alae_tf.networks.layers import EqualizedDense
from alae_tf.networks.mapping import MappingNetwork
from alae_tf.networks.ops import Blend


class MLPNetwork(keras.Model):
    """The sizes of E, G and a separate discriminator.

    Args:
        image_size: int. Side of the image, in pixels.
        image_channels: int.
        hidden_size: int. Width of the two hidden layers.
    """

    def __init__(self, image_size: int, image_channels: int, hidden_size: int, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.image_size, self.image_channels = image_size, image_channels
        self.hidden_size, self.pixels = hidden_size, image_size**2 * image_channels

    def get_config(self):
        names = ("image_size", "image_channels", "hidden_size")
        return super().get_config() | {name: getattr(self, name) for name in names}


class MLPBody(MLPNetwork):
    """The two hidden layers of E and of a separate discriminator: dense, with leaky ReLU 0.2.

    Args: as in `MLPNetwork`, by name.
    """

    def __init__(self, **sizes):
        super().__init__(**sizes)
        self.hidden_1 = EqualizedDense(self.pixels, self.hidden_size, dtype=self.dtype_policy)
        self.hidden_2 = EqualizedDense(self.hidden_size, self.hidden_size, dtype=self.dtype_policy)

    def long_features(
        self, x: tf.Tensor, level: int | None = None, blend: Blend = 1.0
    ) -> tf.Tensor:
        """The second hidden layer after its activation: the paper's *long* features [N, hidden].

        Raises:
            ValueError: x of another shape than [N, image_size, image_size, image_channels].
        """
        return self.hidden(x)[1]

    def hidden(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Both hidden layers after their activations, [N, hidden] each."""
        ops.check_shape("x", x, self.image_size, self.image_size, self.image_channels)
        first = ops.leaky_relu(self.hidden_1(tf.reshape(x, [-1, self.hidden_1.inputs])))
        return first, ops.leaky_relu(self.hidden_2(first))


@keras.saving.register_keras_serializable("alae_tf")
class MLPEncoder(MLPBody):
    """E of MLP-ALAE: three dense layers, each followed by a leaky ReLU.

    Args:
        image_size: int. Side of the image, in pixels.
        image_channels: int.
        hidden_size: int. Width of the two hidden layers.
        latent_size: int. Length of w.
        output_slope: float. Slope of the last leaky ReLU; the others have 0.2.

    Call:
        x: float32 [N, image_size, image_size, image_channels] in [−1, 1].
        level, blend: as in `Encoder`; an MLP has one level and nothing to fade.
        Returns w: float32 [N, latent_size].

    Raises:
        ValueError: x of another shape.

    Reference: section 4.1; 784–1024–1024–50.
    """

    def __init__(self, *, latent_size: int, output_slope: float = 0.2, **sizes):
        super().__init__(**sizes)
        self.latent_size, self.output_slope = latent_size, output_slope
        self.output_layer = EqualizedDense(self.hidden_size, latent_size, dtype=self.dtype_policy)
        self.built = True

    def call(self, x: tf.Tensor, level: int | None = None, blend: Blend = 1.0) -> tf.Tensor:
        return ops.leaky_relu(self.output_layer(self.long_features(x)), self.output_slope)

    def codes(
        self, x: tf.Tensor, level: int | None = None, blend: Blend = 1.0
    ) -> tuple[tf.Tensor, None]:
        """(w [N, latent_size], None); see `Encoder.codes`."""
        return self(x), None

    def maps(self, x: tf.Tensor, level: int | None = None, blend: Blend = 1.0) -> list[tf.Tensor]:
        """Both hidden layers as maps of one pixel, [N, 1, 1, hidden_size]."""
        return [layer[:, tf.newaxis, tf.newaxis] for layer in self.hidden(x)]

    def functional(self, x: Any, level: int, blend: float, corrections: bool = False) -> Any:
        """See `alae_tf.networks.encoder.Encoder.functional`."""
        x = keras.ops.reshape(x, [-1, self.hidden_1.inputs])
        slopes = {"hidden_1": 0.2, "hidden_2": 0.2, "output_layer": self.output_slope}
        for name, slope in slopes.items():
            x = keras.ops.leaky_relu(copied(getattr(self, name), name)(x), slope)
        return x, None

    def get_config(self):
        sizes = {"latent_size": self.latent_size, "output_slope": self.output_slope}
        return super().get_config() | sizes


@keras.saving.register_keras_serializable("alae_tf")
class MLPDiscriminator(MLPBody):
    """D of an MLP-ALAE whose E is not part of the discriminator, `--discriminator=separate`.

    Args, Raises: as in `MLPBody`.

    Call:
        x, level, blend: as in `MLPEncoder`.
        Returns logits: float32 [N]; positive means real.

    An MLP of the shape of E; its last layer, with one output and no activation, also takes the
    minibatch standard deviation, as in `ImageDiscriminator`. Not in the paper.
    """

    def __init__(self, **sizes):
        super().__init__(**sizes)
        self.output_layer = EqualizedDense(self.hidden_size + 1, 1, dtype=self.dtype_policy)
        self.built = True

    def call(self, x: tf.Tensor, level: int | None = None, blend: Blend = 1.0) -> tf.Tensor:
        return self.output_layer(ops.minibatch_std(self.long_features(x)))[:, 0]


@keras.saving.register_keras_serializable("alae_tf")
class MLPGenerator(MLPNetwork):
    """G of MLP-ALAE: three dense layers with leaky ReLU between them and a linear output.

    Args, Raises: as in `MLPEncoder`; output_slope applies to both leaky ReLUs.

    Call:
        styles: float32 [N, 1, latent_size], w as the only style.
        level, blend, noise: as in `Generator`; an MLP has one level and takes no noise.
        Returns the image: float32 [N, image_size, image_size, image_channels].
    """

    def __init__(self, *, latent_size: int, output_slope: float = 0.2, **sizes):
        super().__init__(**sizes)
        self.latent_size, self.output_slope = latent_size, output_slope
        widths = [latent_size, self.hidden_size, self.hidden_size, self.pixels]
        self.hidden_1, self.hidden_2, self.output_layer = (
            EqualizedDense(*pair, dtype=self.dtype_policy) for pair in itertools.pairwise(widths)
        )
        self.built = True

    def call(
        self,
        styles: tf.Tensor,
        level: int | None = None,
        blend: Blend = 1.0,
        noise: list[tf.Tensor] | None = None,
    ) -> tf.Tensor:
        ops.check_shape("styles", styles, 1, self.latent_size)
        w = tf.reshape(styles, [-1, self.latent_size])
        x = ops.leaky_relu(self.hidden_1(w), self.output_slope)
        x = self.output_layer(ops.leaky_relu(self.hidden_2(x), self.output_slope))
        return tf.reshape(x, [-1, self.image_size, self.image_size, self.image_channels])

    def functional(self, styles: list, level: int, blend: float) -> Any:
        """See `alae_tf.networks.generator.Generator.functional`."""
        (x,) = styles
        for name in ("hidden_1", "hidden_2"):
            x = keras.ops.leaky_relu(copied(getattr(self, name), name)(x), self.output_slope)
        x = copied(self.output_layer, "output_layer")(x)
        return keras.ops.reshape(x, [-1, self.image_size, self.image_size, self.image_channels])

    def noise_shapes(self, batch: int | tf.Tensor, level: int | None = None) -> list[tuple]:
        """An empty list: this G takes no noise."""
        return []

    def get_config(self):
        sizes = {"latent_size": self.latent_size, "output_slope": self.output_slope}
        return super().get_config() | sizes


def build(config: Config, dtype: str) -> dict[str, keras.Model]:
    """New G, E, F and D of a config with --architecture=mlp."""
    body: dict[str, Any] = dict(
        image_size=config.image_size,
        image_channels=config.image_channels,
        hidden_size=config.hidden_size,
        dtype=dtype,
    )
    sizes: dict[str, Any] = dict(latent_size=config.latent_size, output_slope=config.output_slope)
    separate = config.discriminator == "separate"
    return {
        "G": MLPGenerator(**body, **sizes, name="G"),
        "E": MLPEncoder(**body, **sizes, name="E"),
        "F": MappingNetwork(config.latent_size, config.mapping_layers, dtype=dtype, name="F"),
        "D": MLPDiscriminator(**body, name="D")
        if separate
        else Discriminator(config.latent_size, dtype=dtype, name="D"),
    }
