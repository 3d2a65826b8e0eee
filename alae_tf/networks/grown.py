"""The base of the networks of StyleALAE that grow by levels: G, E and a separate D."""

from __future__ import annotations

import keras

from alae_tf.config.architecture import width


class Grown(keras.Model):
    """A network with a block for each level.

    Args:
        levels: int. Blocks; the full resolution is 2^(levels+1).
        start_channels: int. Channels at full resolution.
        max_channels: int. Largest number of channels of a block.
        latent_size: int. Length of w.
        image_channels: int. Channels of the image.
    """

    def __init__(
        self,
        levels: int,
        start_channels: int,
        max_channels: int,
        latent_size: int,
        image_channels: int = 3,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        self.levels, self.start_channels, self.max_channels = levels, start_channels, max_channels
        self.latent_size, self.image_channels = latent_size, image_channels

    def width(self, block: int) -> int:
        """Channels of the features that enter a block, counted from the image."""
        return width(self.start_channels, self.max_channels, block)

    def get_config(self):
        names = ("levels", "start_channels", "max_channels", "latent_size", "image_channels")
        return super().get_config() | {name: getattr(self, name) for name in names}
