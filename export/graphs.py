"""The inference graphs of a trained model: functions of tensors, the same for every format."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from alae_tf.images.fit import DIGIT, PADDED_DIGIT
from alae_tf.model.autoencoder import Autoencoder
from alae_tf.networks import ops

from . import image_files

Endpoint = tuple[Callable[..., dict[str, tf.Tensor]], list[tf.TensorSpec]]


class Graphs:
    """E, G and F∘G of one model, at the level and blend that it has reached.

    Args:
        model: the EMA weights of a run.

    Names say what a tensor holds: `images` are float32 in [−1, 1] (those that come out are not
    clipped), `pixels` uint8 in [0, 255], both [N, H, W, C] with H = W = resolution. Noise is
    "const", as in `Autoencoder`.
    """

    def __init__(self, model: Autoencoder):
        self.config, self.alae = model.config, model.alae
        self.level, self.blend, self.resolution = model.level, model.blend, model.resolution
        self.noise = self.alae.noise("const", 1, self.level)
        self.shape = (None, self.resolution, self.resolution, self.config.image_channels)

    def encode(self, images):
        """E: images → w [N, latent]."""
        return {"w": self.alae.encode(images, self.level, self.blend)}

    def encode_uint8(self, pixels):
        """E: pixels → w [N, latent]."""
        return self.encode(ops.to_unit(pixels))

    def encode_bytes(self, image_bytes):
        """E: PNG, JPEG, BMP or GIF files as strings [N], of any size → w [N, latent]."""
        shape = tf.TensorSpec(self.shape[1:], tf.uint8)
        with tf.device("CPU"):  # one file at a time: each may be of 89 million pixels
            pixels = tf.map_fn(
                self.read, image_bytes, parallel_iterations=1, fn_output_signature=shape
            )
        return self.encode_uint8(pixels)

    def decode(self, w):
        """G: w [N, latent] or [N, styles, latent] → images."""
        return {"images": self.alae.decode(w, self.level, self.blend, self.noise)}

    def decode_small(self, w):
        """G: w [N, latent] or [N, styles, latent] → images, in a form that converters keep small.

        Of constant noise times constant strengths they would make one large constant a layer (at
        1024 px 64 MB each), so the noise is multiplied by a 1 that they cannot foresee.

        The first map's is not: what comes before the first style does not depend on w, so that
        converters make a small constant of it. A model trained for a short time needs that: there
        the map is nearly the same everywhere (deviation 1e-4 around 1), and the norm that follows
        would raise the last bit, in which runtimes differ, to 1e-3.
        """
        first = w[:, :1] if len(w.shape) == 2 else w[:, 0, :1]
        one = tf.reshape(1.0 + tf.minimum(tf.abs(first), 0.0), [-1, 1, 1, 1])
        noise = self.noise and [self.noise[0], *(each * one for each in self.noise[1:])]
        return {"images": self.alae.decode(w, self.level, self.blend, noise)}

    def map(self, z):
        """F: z [N, latent] → w [N, latent], not truncated."""
        return {"w": self.alae.F(z)}

    def decode_any(self, w):
        """G: w [N, latent] or a style for each layer [N, styles, latent] → images and pixels."""
        w = tf.reshape(w, [tf.shape(w)[0], -1, self.config.latent_size])  # [N, 1 or styles, latent]
        count = tf.shape(w)[1]
        fits = tf.Assert(
            (count == 1) | (count == self.config.styles),
            [f"w: expected 1 or {self.config.styles} styles of {self.config.latent_size}, got"]
            + [count],
        )
        with tf.control_dependencies([fits]):
            styles = tf.broadcast_to(w, [tf.shape(w)[0], self.config.styles, w.shape[-1]])
        return self.with_pixels(self.decode(styles)["images"])

    def reconstruct(self, images):
        """G(E(x)): images → images and pixels."""
        return self.with_pixels(self.decode(self.encode(images)["w"])["images"])

    def generate(self, z, psi):
        """G(F(z)) with truncation: z [N, latent], psi [N] (1: none) → images and pixels."""
        styles = self.alae.truncate(
            self.alae.map(z), psi[:, tf.newaxis, tf.newaxis], self.config.truncation_cutoff
        )
        return self.with_pixels(self.decode(styles)["images"])

    def with_pixels(self, images):
        """The same picture for arithmetic and for eyes."""
        return {"images": images, "pixels": ops.to_pixels(images)}

    def read(self, data):
        """An image file (scalar string) → uint8 [H, W, C], read and fitted as in training.

        Grey images serve as colour ones, and a model of grey images takes files in colour whose
        pixels are all grey; other colours are not turned to grey. See `export.image_files.decode`.
        """
        image = image_files.decode(data)  # [height, width, 3]
        if self.config.image_channels == 1:
            is_grey = tf.reduce_all(image[..., 1:] == image[..., :1])
            right = tf.Assert(is_grey, ["image_bytes: a colour image; this model takes grey ones"])
            with tf.control_dependencies([right]):
                image = image[..., :1]
        size = tf.shape(image)[:2]
        if self.resolution != DIGIT:  # digits are padded, as in `alae_tf.images.fit.fit`
            edge = (PADDED_DIGIT - DIGIT) // 2 * tf.cast(tf.reduce_all(size == DIGIT), tf.int32)
            image = tf.pad(image, [[edge, edge], [edge, edge], [0, 0]])
            size = tf.shape(image)[:2]
        side = tf.reduce_min(size)
        corner = (size - side) // 2
        image = image[corner[0] : corner[0] + side, corner[1] : corner[1] + side]
        return image_files.fit_square(image, self.resolution)

    def signatures(self) -> dict[str, Endpoint]:
        """What a SavedModel offers, by name."""
        images = tf.TensorSpec(self.shape, tf.float32, "images")
        z = tf.TensorSpec([None, self.config.latent_size], tf.float32, "z")
        return {
            "encode": (self.encode, [images]),
            "encode_uint8": (self.encode_uint8, [self.pixels_spec]),
            "encode_bytes": (
                self.encode_bytes,
                [tf.TensorSpec([None], tf.string, "image_bytes")],
            ),
            "decode": (self.decode_any, [tf.TensorSpec(None, tf.float32, "w")]),
            "reconstruct": (self.reconstruct, [images]),
            "generate": (self.generate, [z, tf.TensorSpec([None], tf.float32, "psi")]),
        }

    def device_signatures(self) -> dict[str, Endpoint]:
        """What TFLite and ONNX files are made of: one graph each."""
        return {
            "encoder": (self.encode, [tf.TensorSpec(self.shape, tf.float32, "images")]),
            "encoder_uint8": (self.encode_uint8, [self.pixels_spec]),
            "decoder": (
                self.decode_small,
                [tf.TensorSpec([None, self.config.latent_size], tf.float32, "w")],
            ),
        }

    def single_signatures(self) -> dict[str, Endpoint]:
        """The same for one image at a time, as browsers and phones' delegates want them, and F.
        `decoder_styles_one` takes a style for each layer."""
        latent, styles = self.config.latent_size, self.config.styles
        w = tf.TensorSpec([1, latent], tf.float32, "w")
        return {
            "encoder_one": (
                self.encode,
                [tf.TensorSpec((1, *self.shape[1:]), tf.float32, "images")],
            ),
            "decoder_one": (self.decode_small, [w]),
            "decoder_styles_one": (
                self.decode_small,
                [tf.TensorSpec([1, styles, latent], tf.float32, "w")],
            ),
            "mapping_one": (self.map, [tf.TensorSpec([1, latent], tf.float32, "z")]),
        }

    @property
    def pixels_spec(self) -> tf.TensorSpec:
        return tf.TensorSpec(self.shape, tf.uint8, "pixels")
