"""Whether a reconstruction is nearer to its own image than to others."""

import numpy as np

from alae_tf.evaluation.samples import Samples

CANDIDATES = 50


def found(samples: Samples) -> float:
    """Share of reconstructions whose nearest of 50 images, in pixels, is their own, in [0, 1].

    The distance is the mean squared error. With fewer images, fewer than 50 are compared; the
    counts say how many ("candidates").
    """
    chosen = samples.candidates(CANDIDATES)
    others = np.concatenate(list(samples.read(chosen, "candidates")))
    own, errors = [], []
    for real, made in samples.pairs("found"):
        own.extend(squared_error(*pair) for pair in zip(real, made, strict=True))
        errors.extend([squared_error(image, other) for other in others] for image in made)
    hits = nearest_is_own(np.array(own), np.array(errors), samples.indices, chosen)
    return float(hits.mean())


def squared_error(a: np.ndarray, b: np.ndarray) -> float:
    """Mean squared error of two uint8 images."""
    return float(((a.astype(np.float32) - b) ** 2).mean())


def nearest_is_own(
    own: np.ndarray, others: np.ndarray, indices: np.ndarray, chosen: np.ndarray
) -> np.ndarray:
    """Whether each image is at least as near to its own real image as to every candidate.

    An image's own real image replaces the candidate at or before it in the source, so that the
    number of candidates is the same for all images.

    Args:
        own: distances to the own real image [n].
        others: distances to the candidates [n, c].
        indices: indices of the own real images in their source [n].
        chosen: indices of the candidates in the same source, ascending, beginning with 0 [c].

    Returns:
        bool [n].
    """
    places = np.searchsorted(chosen, indices, side="right") - 1
    rivals = others.copy()
    rivals[np.arange(len(own)), places] = np.inf
    return own <= rivals.min(axis=1)
