"""The baseline that an encoder must beat: principal components, measured like a model."""

import math
import types

import numpy as np
from sklearn.decomposition import PCA

from alae_tf.data import Source, evenly

MOST_BYTES = 2**32  # of uint8 pixels, their floats and PCA's copy of these
MOST_IMAGES = 10_000  # in memory


class PrincipalComponents:
    """A linear autoencoder with the methods of a model that `Samples` calls.

    Codes are drawn from a Gaussian with the components' variances. Noise and its seed are ignored.

    Args:
        source: the model's training images; at most 10,000 are used, evenly spread, and their
            number is `fitted_to`.
        resolution: of the images, in pixels.
        latent_size: number of components; fewer if the images have fewer.
    """

    def __init__(self, source: Source, resolution: int, latent_size: int):
        self.resolution, self.level, self.blend, self.images_seen = resolution, None, 1.0, None
        self._shape = (resolution, resolution, source.channels)
        count = min(len(source), MOST_IMAGES, MOST_BYTES // (9 * math.prod(self._shape)))
        self.fitted_to = count
        images = source.take(evenly(source, count), resolution)
        size = min(latent_size, count, math.prod(self._shape))
        self._pca = PCA(size, svd_solver="randomized", random_state=0)
        self._pca.fit(rows(images))
        self.config = types.SimpleNamespace(latent_size=size, resolution=resolution)

    def __repr__(self) -> str:
        return f"<PrincipalComponents: {self.config.latent_size}, images {list(self._shape)}>"

    def encode(self, images: np.ndarray, layers: bool = False) -> np.ndarray:
        """Images [N, H, W, C], uint8 or float in [−1, 1] → codes, float32 [N, latent], also with
        `layers`, since components have none."""
        return self._pca.transform(rows(images)).astype(np.float32)

    long_features = encode

    def decode(
        self, w: np.ndarray, noise_mode: str = "none", seed: int = 0, floats: bool = False
    ) -> np.ndarray:
        """Codes [N, latent] → images, uint8 or float32 [N, H, W, C]."""
        images = self._pca.inverse_transform(w).reshape(-1, *self._shape).astype(np.float32)
        return images if floats else np.clip(np.round(images * 127.5 + 127.5), 0, 255).astype("u1")

    def sample_z(self, count: int, seed: int = 0) -> np.ndarray:
        """z ~ N(0, I): float32 [count, latent]."""
        shape = count, self.config.latent_size
        return np.random.default_rng(seed).standard_normal(shape, np.float32)

    def map(self, z: np.ndarray) -> np.ndarray:
        """z → codes with the components' variances."""
        return z * np.sqrt(self._pca.explained_variance_).astype(np.float32)

    def sample_w(self, count: int, seed: int = 0) -> np.ndarray:
        """Codes [count, latent]."""
        return self.map(self.sample_z(count, seed))

    def truncate(self, w: np.ndarray, psi: float) -> np.ndarray:
        """psi·w."""
        return w * psi


def rows(images: np.ndarray) -> np.ndarray:
    """Images [N, H, W, C], uint8 or float in [−1, 1] → float32 [N, H·W·C] in [−1, 1]."""
    x = images.astype(np.float32).reshape(len(images), -1)
    return x / 127.5 - 1.0 if images.dtype == np.uint8 else x
