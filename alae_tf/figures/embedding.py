"""The codes of a labelled set in two dimensions."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np

METHODS = ("tsne", "pca")


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


def embedding(
    points: np.ndarray, labels: np.ndarray, names: Sequence[str], kind: str = "png"
) -> bytes:
    """Points [N, 2] coloured by class.

    Args:
        labels: classes [N].
        names: of the classes, by number.
        kind: "png" or "pdf".

    Returns:
        The bytes of the file.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 6), layout="constrained")
    colours = pyplot.get_cmap("tab10" if len(names) <= 10 else "tab20")
    for number, name in enumerate(names):
        of = points[labels == number]
        colour = colours(number % colours.N)
        axes.scatter(of[:, 0], of[:, 1], s=6, color=colour, label=f"{name} ({len(of):,})")
        if len(of):
            axes.annotate(
                name, tuple(np.median(of, axis=0)), weight="bold", ha="center", va="center"
            )
    axes.set(xticks=[], yticks=[], aspect="equal")
    if len(names) <= 20:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=2, frameon=False)
    file = io.BytesIO()
    undated = {"CreationDate": None} if kind == "pdf" else {"Software": None}
    figure.savefig(file, format=kind, dpi=120, metadata=undated)
    pyplot.close(figure)
    return file.getvalue()
