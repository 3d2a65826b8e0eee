"""Distances between two sets of feature vectors: Fréchet, kernel, precision and recall."""

import numpy as np

SUBSETS, SUBSET = 100, 1000  # of the kernel distance, as published
NEIGHBOURS = 3  # of precision and recall, as published
ROWS = 1000  # compared at once


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Fréchet distance of the Gaussians with the means and covariances of features [n, d], [m, d],
    at least two rows each.

    |μa − μb|² + tr(Ca + Cb − 2 (Ca Cb)^½), see Heusel et al. 2017. The trace of the root is that of
    the symmetric (Ca^½ Cb Ca^½)^½, whose eigenvalues are real and not negative.
    """
    means, covariances = [], []
    for x in (a.astype(np.float64), b.astype(np.float64)):
        means.append(x.mean(axis=0))
        covariances.append(np.atleast_2d(np.cov(x, rowvar=False)))
    return frechet_of_moments(means[0], covariances[0], means[1], covariances[1])


def frechet_of_moments(mean_a, cov_a, mean_b, cov_b) -> float:
    """Fréchet distance of Gaussians with means [d] and covariances [d, d]."""
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    inner = np.linalg.eigvalsh(root @ cov_b @ root)
    trace = np.sqrt(np.maximum(inner, 0)).sum()
    return float(((mean_a - mean_b) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * trace)


def kernel(a: np.ndarray, b: np.ndarray, seed: int = 0) -> float:
    """Kernel distance (Bińkowski et al. 2018) of features [n, d], [m, d]: unbiased squared MMD,
    kernel (x·y/d + 1)³.

    The mean over `SUBSETS` random subsets of `SUBSET` rows; of all rows if there are fewer.
    """
    rng, size = np.random.default_rng(seed), min(SUBSET, len(a), len(b))
    subsets = 1 if size == len(a) == len(b) else SUBSETS
    total = 0.0
    for _ in range(subsets):
        x, y = (
            each[rng.choice(len(each), size, replace=False)].astype(np.float64) for each in (a, b)
        )
        xx, yy, xy = ((p @ q.T / x.shape[1] + 1) ** 3 for p, q in ((x, x), (y, y), (x, y)))
        within = (xx.sum() - np.trace(xx) + yy.sum() - np.trace(yy)) / (size * (size - 1))
        total += within - 2 * xy.mean()
    return total / subsets


def covered(x: np.ndarray, manifold: np.ndarray) -> float:
    """Share of x [n, d] within the manifold of other vectors [m, d], m > NEIGHBOURS, in [0, 1]
    (Kynkäänniemi et al. 2019).

    A vector is within the manifold if it is as near to one of its vectors as that vector's
    `NEIGHBOURS`th neighbour. The share of generated images within the manifold of real ones is the
    improved precision, the reverse the recall.
    """
    x, manifold = x.astype(np.float64), manifold.astype(np.float64)
    radii = np.concatenate(
        [
            np.partition(squared_distances(part, manifold), NEIGHBOURS, axis=1)[:, NEIGHBOURS]
            for part in _rows(manifold)  # column 0 is the vector itself
        ]
    )
    inside = [(squared_distances(part, manifold) <= radii).any(axis=1) for part in _rows(x)]
    return float(np.concatenate(inside).mean())


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances [n, m] of float64 vectors [n, d], [m, d]."""
    return np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T, 0)


def _rows(x: np.ndarray) -> list[np.ndarray]:
    return [x[start : start + ROWS] for start in range(0, len(x), ROWS)]
