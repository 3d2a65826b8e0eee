"""Codes in two dimensions."""

from __future__ import annotations

import numpy as np


def embed(w: np.ndarray, method: str = "tsne", seed: int = 0) -> np.ndarray:
    """Codes [N, latent] → points [N, 2].

    Args:
        method: "tsne", which keeps neighbours together (van der Maaten and Hinton, JMLR 2008), or
            "pca", the two principal components.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if method == "pca":
        return PCA(2, random_state=seed).fit_transform(w)
    perplexity = min(30.0, (len(w) - 1) / 3)
    return TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(w)
