"""E, G and F of a model as graphs, each traced once, at its first use."""

import functools
import typing
import weakref
from collections.abc import Callable

import tensorflow as tf
from tensorflow.python.framework.ops import gradient_registry

from alae_tf.networks import ops
from alae_tf.networks.alae import ALAE

BLEND = tf.TensorSpec([])
traced: typing.Any = functools.cached_property  # at the first use


class Graphs:
    """The networks at one level, for any number of images.

    The blend is an argument, so that it can change during training without another trace. `shape`
    is (H, W, C) of an image.

    Attributes:
        encode: (x [N, H, W, C], blend) → w [N, latent].
        codes: (x, blend) → styles [N, styles, latent].
        long_features: (x, blend) → [N, d].
        score: (x, blend) → D's logits [N, 1].
        map: z [N, latent] → w [N, latent].
        decode_plain, decode_noisy: (styles [N, styles, latent], noise maps, blend) → (images,
            pixels, whether all values are finite); decode_plain takes an empty list of maps.
    """

    def __init__(self, alae: ALAE, level: int, shape: tuple[int, int, int]):
        self._alae, self._level = alae, level
        self._images = tf.TensorSpec([None, *shape])
        self._codes = tf.TensorSpec([None, alae.F.latent_size])
        self._gradients: set[str] = set()
        weakref.finalize(self, _forget, self._gradients)

    encode = traced(lambda self: self._of_images(self._alae.encode))
    codes = traced(lambda self: self._of_images(lambda *x: self._alae.codes(*x)[0]))
    long_features = traced(lambda self: self._of_images(self._alae.E.long_features))
    score = traced(lambda self: self._of_images(lambda *x: self._alae.logits(*x)[:, tf.newaxis]))
    map = traced(lambda self: self._traced(self._alae.F, self._codes))
    decode_plain = traced(lambda self: self._decoder([]))
    decode_noisy = traced(lambda self: self._decoder(self._alae.G.noise_shapes(1, self._level)))

    def _of_images(self, function: Callable) -> typing.Any:
        return self._traced(lambda x, blend: function(x, self._level, blend), self._images, BLEND)

    def _decoder(self, noise_shapes) -> typing.Any:
        def draw(styles, noise, blend):
            images = self._alae.decode(styles, self._level, blend, noise)
            return images, ops.to_pixels(images), tf.reduce_all(tf.math.is_finite(images))

        maps = [tf.TensorSpec([None, *shape[1:]]) for shape in noise_shapes]
        styles = tf.TensorSpec([None, self._alae.styles, self._alae.F.latent_size])
        return self._traced(draw, styles, maps, BLEND)

    def _traced(self, function: Callable, *specs: typing.Any) -> typing.Any:
        """A function's graph. (A `tf.function` would warn of retracing once several models, which
        have a graph each, are loaded.)"""
        before = set(gradient_registry.list())
        graph = tf.function(function, input_signature=list(specs)).get_concrete_function()
        self._gradients.update(set(gradient_registry.list()) - before)
        return graph


def _forget(gradients: set[str]) -> None:
    """Removes the custom gradients of deleted graphs from TensorFlow's registry, which would keep
    these graphs in memory."""
    for name in gradients:
        gradient_registry._registry.pop(name, None)
