"""Codes as points in two dimensions."""

import numpy as np

from alae_tf.data import evenly
from alae_tf.figures.kind import SET, Figure, FigureError, Kind, choice
from alae_tf.images.plots import class_plot

METHODS = ("tsne", "pca")
FEWEST_POINTS = 5


def draw(figure: Figure, method: str) -> bytes:
    source, model = figure.held_out(), figure.model
    if source.labels is None:
        raise FigureError(
            f"--images={source.uri}: has no labels to colour by. For a folder with a subfolder for "
            "each class, use --images='folder:DIR?labels=folders'."
        )
    count = min(figure.count, len(source))
    if count < FEWEST_POINTS:
        raise FigureError(f"--count: an embedding needs at least {FEWEST_POINTS} images.")
    places = evenly(source, count)
    parts = np.array_split(places, -(-count // 100))
    w = np.concatenate([model.encode(source.take(part, model.resolution)) for part in parts])
    labels = np.asarray(source.labels)[places]
    names = source.class_names or [str(i) for i in range(int(labels.max()) + 1)]
    return class_plot(embed(w, method, figure.seed), labels, names, figure.format)


def embed(w: np.ndarray, method: str = "tsne", seed: int = 0) -> np.ndarray:
    """Codes [N, latent] → points [N, 2]: "tsne", which keeps neighbours together (van der Maaten
    and Hinton, JMLR 2008), or "pca", the first two principal components."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if method == "pca":
        return PCA(2, random_state=seed).fit_transform(w)
    perplexity = min(30.0, (len(w) - 1) / 3)
    return TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(w)


KIND = Kind(
    "w of labelled images as points in two dimensions, coloured by class",
    draw,
    count=2000,
    images=SET,
    formats=("png", "pdf"),
    flags={
        "method": choice(
            METHODS,
            "tsne, which keeps neighbours together; pca, the first two principal components, which "
            "keep distances and take less time",
        )
    },
)
