"""What an encoder must beat: principal components, measured as a model is."""

from __future__ import annotations

import math
import types

import numpy as np
from sklearn.decomposition import PCA

from alae_tf.data import Source, evenly

MOST_BYTES = 2**32  # of pixels, floats, and the floats that PCA makes of them
MOST_IMAGES = 10_000  # that the components are fitted to; they are held in memory


class PrincipalComponents:
    """A linear autoencoder of the same latent size, with what `Samples` asks of a model.

    Args:
        source: the images that the model was trained on; 10,000 at most are taken, evenly spread.
        resolution: of the images.
        latent_size: components.

    Attributes:
        fitted_to: images.

    Codes are drawn from a Gaussian with the components' variances. Noise and its seed are passed
    over.
    """

    def __init__(self, source: Source, resolution: int, latent_size: int):
        self.resolution, self.level, self.blend, self.images_seen = resolution, None, 1.0, None
        self._shape = (resolution, resolution, source.channels)
        count = min(len(source), MOST_IMAGES, MOST_BYTES // (9 * math.prod(self._shape)))
        self.fitted_to = count
        pixels = np.stack(
            [source.fitted(int(i), resolution).reshape(-1) for i in evenly(source, count)]
        )
        size = min(latent_size, *pixels.shape)
        self._pca = PCA(size, svd_solver="randomized", random_state=0)
        self._pca.fit(pixels.astype(np.float32) / 127.5 - 1.0)
        self.config = types.SimpleNamespace(latent_size=size, resolution=resolution)

    def __repr__(self) -> str:
        return f"<PrincipalComponents: {self.config.latent_size}, images {list(self._shape)}>"

    def encode(self, images: np.ndarray) -> np.ndarray:
        """uint8, or float in [−1, 1]: [N, H, W, C] → codes, float32 [N, latent]."""
        x = images.astype(np.float32)
        x = x / 127.5 - 1.0 if images.dtype == np.uint8 else x
        return self._pca.transform(x.reshape(len(x), -1)).astype(np.float32)

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
