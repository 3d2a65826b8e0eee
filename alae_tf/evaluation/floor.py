"""The floor of a distance: real images measured in the place of generated ones."""

import types

import numpy as np

from alae_tf.data import Source, evenly


class RealImages:
    """Images of a source, evenly spread, as if a model had generated them; their codes [N, 1] are
    their numbers. No model can be expected to come closer to other real images than these do."""

    def __init__(self, source: Source, resolution: int):
        self.resolution, self.level, self.blend, self.images_seen = resolution, None, 1.0, None
        self.config = types.SimpleNamespace(resolution=resolution)
        self._source, self._indices = source, np.zeros(0, int)

    def __repr__(self) -> str:
        return f"<RealImages: {self._source.uri}>"

    def sample_w(self, count: int, seed: int = 0) -> np.ndarray:
        """Numbers of images [count, 1]."""
        self._indices = evenly(self._source, count)
        return np.arange(count)[:, np.newaxis]

    def truncate(self, w: np.ndarray, psi: float) -> np.ndarray:
        """w, unchanged: real images cannot be truncated."""
        return w

    def decode(
        self, w: np.ndarray, noise_mode: str = "none", seed: int = 0, floats: bool = False
    ) -> np.ndarray:
        """The images of some numbers [N, 1], uint8 [N, H, W, C]."""
        return self._source.take(self._indices[w[:, 0]], self.resolution)
