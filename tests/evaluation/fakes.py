"""Images and a feature network whose metrics can be computed by hand."""

import numpy as np

from alae_tf.data import Source


class Images(Source):
    """Images in memory.

    Args:
        images: uint8 [N, H, W, C].
        labels: [N] or None.
        held_out: a source or None.
    """

    uri = "images:"

    def __init__(self, images, labels=None, held_out=None):
        self.images, self.labels, self.held_out = images, labels, held_out
        self.channels = images.shape[-1]

    def __len__(self):
        return len(self.images)

    def image(self, index):
        return self.images[index]


class Means:
    """A feature network: an image's mean in each quarter."""

    name, sha256, calls = "means", "abc", 0

    def __call__(self, images):
        self.calls += 1
        n, side = len(images), images.shape[1] // 2
        quarters = images.reshape(n, 2, side, 2, side, -1).mean(axis=(2, 4, 5))
        return quarters.reshape(n, 4).astype(np.float32)


def noise(count, side=8, channels=1, seed=0):
    """Random images, uint8 [count, side, side, channels]."""
    shape = (count, side, side, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
