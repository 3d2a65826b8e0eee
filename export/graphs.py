"""The inference graphs of a trained model: functions of tensors, the same for every format."""

from collections.abc import Callable

import tensorflow as tf

from alae_tf.images.fit import DIGIT, PADDED_DIGIT
from alae_tf.model.autoencoder import Autoencoder
from alae_tf.networks import ops

from . import image_files

Endpoint = tuple[Callable[..., dict[str, tf.Tensor]], list[tf.TensorSpec]]


class Graphs:
    """E, F and G of a model, at its level and blend, with noise_mode "const".

    Tensors are named by content: `images` are float32 in [−1, 1] (outputs are not clipped),
    `pixels` uint8 in [0, 255], both [N, H, W, C] with H = W = resolution.
    """

    def __init__(self, model: Autoencoder):
        self.config, self.alae = model.config, model.alae
        self.level, self.blend, self.resolution = model.level, model.blend, model.resolution
        self.noise = self.alae.noise("const", 1, self.level)
        self.shape = (self.resolution, self.resolution, self.config.image_channels)

    def encode(self, images):
        """E: images → w [N, latent]."""
        return {"w": self.alae.encode(images, self.level, self.blend)}

    def encode_styles(self, images):
        """E: images → styles [N, styles, latent], w with its correction for each layer of G."""
        return {"styles": self.alae.codes(images, self.level, self.blend)[0]}

    def of_pixels(self, encode):
        """`encode` or `encode_styles` as a function of pixels."""
        return lambda pixels: encode(ops.to_unit(pixels))

    def of_bytes(self, encode):
        """The same of PNG, JPEG, BMP or GIF files of any size, strings [N]."""
        return lambda image_bytes: encode(ops.to_unit(self.read_all(image_bytes)))

    def decode(self, w):
        """G: w [N, latent] or [N, styles, latent] → images."""
        return {"images": self.alae.decode(w, self.level, self.blend, self.noise)}

    def decode_small(self, w):
        """G: w [N, latent] or [N, styles, latent] → images, in a form that converters keep small.

        Converters would fold constant noise times constant strengths into a large constant for
        each layer (64 MB at 1024 px), so the noise is multiplied by a 1 that they cannot foresee.

        The first noise map is not multiplied. Everything before the first style is independent of
        w and becomes a small constant. Shortly after training starts, these features are nearly
        uniform (deviation 1e-4 around 1), and the next norm would amplify the last bit, in which
        runtimes differ, to 1e-3.
        """
        first = w[:, :1] if len(w.shape) == 2 else w[:, 0, :1]
        one = tf.reshape(1.0 + tf.minimum(tf.abs(first), 0.0), [-1, 1, 1, 1])
        noise = self.noise and [self.noise[0], *(each * one for each in self.noise[1:])]
        return {"images": self.alae.decode(w, self.level, self.blend, noise)}

    def map(self, z):
        """F: z [N, latent] → w [N, latent], without truncation."""
        return {"w": self.alae.F(z)}

    def decode_any(self, w):
        """G: w [N, latent] or a style for each layer [N, styles, latent] → images and pixels."""
        w = tf.reshape(w, [tf.shape(w)[0], -1, self.config.latent_size])  # [N, 1 or styles, latent]
        count = tf.shape(w)[1]
        expected = f"w: expected 1 or {self.config.styles} styles of {self.config.latent_size}, got"
        fits = tf.Assert((count == 1) | (count == self.config.styles), [expected, count])
        with tf.control_dependencies([fits]):
            styles = tf.broadcast_to(w, [tf.shape(w)[0], self.config.styles, w.shape[-1]])
        return self.with_pixels(self.decode(styles)["images"])

    def reconstruct(self, images):
        """G(E(x)): images → images and pixels."""
        return self.with_pixels(self.decode(self.encode_styles(images)["styles"])["images"])

    def generate(self, z, psi):
        """G(F(z)) with truncation: z [N, latent], psi [N] (1: none) → images and pixels."""
        psi = psi[:, tf.newaxis, tf.newaxis]
        styles = self.alae.truncate(self.alae.map(z), psi, self.config.truncation_cutoff)
        return self.with_pixels(self.decode(styles)["images"])

    def with_pixels(self, images):
        """Images with their pixels."""
        return {"images": images, "pixels": ops.to_pixels(images)}

    def read_all(self, image_bytes):
        """Reads and fits image files: strings [N] → uint8 [N, H, W, C]."""
        fitted = tf.TensorSpec(self.shape, tf.uint8)
        with tf.device("CPU"):  # one file at a time: each may have 89 million pixels
            return tf.map_fn(
                self.read, image_bytes, parallel_iterations=1, fn_output_signature=fitted
            )

    def read(self, data):
        """Reads and fits an image file as in training: scalar string → uint8 [H, W, C]. A grey
        model accepts colour files only if all pixels are grey. See `image_files.decode`."""
        image = image_files.decode(data)  # [height, width, 3]
        if self.config.image_channels == 1:
            is_grey = tf.reduce_all(image[..., 1:] == image[..., :1])
            right = tf.Assert(is_grey, ["image_bytes: a colour image; the model takes grey images"])
            with tf.control_dependencies([right]):
                image = image[..., :1]
        size = tf.shape(image)[:2]
        if self.resolution != DIGIT:  # digits are padded, like in `alae_tf.images.fit.fit`
            edge = (PADDED_DIGIT - DIGIT) // 2 * tf.cast(tf.reduce_all(size == DIGIT), tf.int32)
            image = tf.pad(image, [[edge, edge], [edge, edge], [0, 0]])
            size = tf.shape(image)[:2]
        side = tf.reduce_min(size)
        corner = (size - side) // 2
        image = image[corner[0] : corner[0] + side, corner[1] : corner[1] + side]
        return image_files.fit_square(image, self.resolution)

    def spec(self, name: str, *shape: int, batch: int | None = None) -> list[tf.TensorSpec]:
        """The only input of a graph."""
        kinds = {"pixels": tf.uint8, "image_bytes": tf.string}
        return [tf.TensorSpec((batch, *shape), kinds.get(name, tf.float32), name)]

    def signatures(self) -> dict[str, Endpoint]:
        """The signatures of a SavedModel, by name."""
        latent = self.config.latent_size
        return {
            "encode": (self.encode, self.spec("images", *self.shape)),
            "encode_uint8": (self.of_pixels(self.encode), self.spec("pixels", *self.shape)),
            "encode_bytes": (self.of_bytes(self.encode), self.spec("image_bytes")),
            "encode_styles": (self.encode_styles, self.spec("images", *self.shape)),
            "encode_styles_bytes": (self.of_bytes(self.encode_styles), self.spec("image_bytes")),
            "decode": (self.decode_any, [tf.TensorSpec(None, tf.float32, "w")]),
            "reconstruct": (self.reconstruct, self.spec("images", *self.shape)),
            "generate": (self.generate, self.spec("z", latent) + self.spec("psi")),
        }

    def device_signatures(self, batch: int | None = None) -> dict[str, Endpoint]:
        """The graphs of TFLite and ONNX files, one in each file; for a fixed number of images, as
        browsers and phones need them, also F."""
        latent, styles = self.config.latent_size, self.config.styles
        images, pixels = (self.spec(n, *self.shape, batch=batch) for n in ("images", "pixels"))
        mapping = {"mapping": (self.map, self.spec("z", latent, batch=batch))} if batch else {}
        return {
            "encoder": (self.encode, images),
            "encoder_uint8": (self.of_pixels(self.encode), pixels),
            "encoder_styles": (self.encode_styles, images),
            "encoder_styles_uint8": (self.of_pixels(self.encode_styles), pixels),
            "decoder": (self.decode_small, self.spec("w", latent, batch=batch)),
            "decoder_styles": (self.decode_small, self.spec("w", styles, latent, batch=batch)),
            **mapping,
        }
