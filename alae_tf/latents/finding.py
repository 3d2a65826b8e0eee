"""How directions in w are found: from labels, from measured values, without either.

With labels a plane is found that parts w, or a linear function of w. The direction is not its
normal n but Σn, Σ being the covariance of w: the shortest way across the plane in standard
deviations of the data. The normal itself leads where no data are whenever w varies much more one
way than another (on digits nothing was to be seen of it).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from alae_tf.latents import LatentError

HELD_OUT = 0.2  # of the codes, on which a direction is measured
LEAST = 10  # codes of a class, or values, that it takes
SVM_C = 1.0  # of standardised codes


def from_classes(w: np.ndarray, positive: np.ndarray, seed: int = 0) -> tuple[np.ndarray, float]:
    """The way across the plane by which a linear SVM parts codes of a class from the others.

    Args:
        w: codes [N, latent].
        positive: which are of the class, bool [N].
        seed: of the choice of those held out.

    Returns:
        (unit vector [latent], pointing to the class; balanced accuracy on a fifth held out, in
        [0, 1], where 0.5 is chance).

    Raises:
        LatentError: there are fewer than 10 of the class, or of the others.

    Reference: Shen et al., InterFaceGAN, CVPR 2020, who take the normal.
    """
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.svm import LinearSVC

    positive = np.asarray(positive, bool)
    if min(positive.sum(), (~positive).sum()) < LEAST:
        raise LatentError(
            f"{positive.sum():,} images are of the class and {(~positive).sum():,} are not; it "
            f"takes {LEAST} of each at least"
        )
    mean, scale = w.mean(axis=0), w.std(axis=0).mean()
    known, unknown = _split(positive, seed)
    svm = LinearSVC(C=SVM_C, class_weight="balanced", dual=False, max_iter=5000)  # pyright: ignore[reportArgumentType]
    svm.fit((w[known] - mean) / scale, positive[known])
    read = svm.predict((w[unknown] - mean) / scale)
    return _along(w, svm.coef_[0]), float(balanced_accuracy_score(positive[unknown], read))


def from_values(w: np.ndarray, values: np.ndarray, seed: int = 0) -> tuple[np.ndarray, float]:
    """The way along which the linear function of w grows that comes nearest to measured values.

    Args:
        w: codes [N, latent].
        values: [N].
        seed: of the choice of those held out.

    Returns:
        (unit vector [latent], pointing to larger values; correlation on a fifth held out).

    Raises:
        LatentError: there are fewer than 10 values, or all are alike.
    """
    from sklearn.linear_model import RidgeCV

    values = np.asarray(values, np.float64)
    if len(values) < LEAST or not np.ptp(values):
        raise LatentError(
            f"{len(values):,} values from {values.min():g} to {values.max():g}; it takes {LEAST} "
            "at least, which differ"
            if len(values)
            else "no values"
        )
    mean, scale = w.mean(axis=0), w.std(axis=0).mean()
    known, unknown = _split(np.zeros(len(values), bool), seed)
    fitted = RidgeCV(alphas=np.logspace(-2, 4, 13))
    fitted.fit((w[known] - mean) / scale, values[known])
    found = fitted.predict((w[unknown] - mean) / scale)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.nan_to_num(np.corrcoef(found, values[unknown])[0, 1])
    return _along(w, np.asarray(fitted.coef_)), float(correlation)


def principal(w: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Principal components of codes.

    Returns:
        (unit vectors [count, latent], the largest variance first; their shares of the variance).

    Raises:
        LatentError: the codes do not differ.

    Reference: Härkönen et al., GANSpace, NeurIPS 2020.
    """
    centred = np.asarray(w, np.float64) - np.mean(w, axis=0)
    _, lengths, vectors = np.linalg.svd(centred, full_matrices=False)
    if not lengths.any():
        raise LatentError("components: the images' codes are all alike; it takes two that differ")
    shares = lengths**2 / (lengths**2).sum()
    return _upright(vectors[:count]), shares[:count]


def factorised(kernels: Sequence[np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
    """The directions that move G's styles most, in closed form from its weights alone.

    Args:
        kernels: of the dense layers that make styles of w, [latent, 2·channels] each.
        count: how many.

    Returns:
        (unit vectors [count, latent], the strongest first; their shares of the whole effect).

    Reference: Shen and Zhou, Closed-form factorization of latent semantics (SeFa), CVPR 2021.
    """
    joined = np.concatenate([k / np.linalg.norm(k, axis=0, keepdims=True) for k in kernels], axis=1)
    values, vectors = np.linalg.eigh(np.asarray(joined @ joined.T, np.float64))
    shares = values[::-1] / values.sum()
    return _upright(vectors[:, ::-1].T[:count]), shares[:count]


def span(w: np.ndarray, vector: np.ndarray) -> tuple[float, float]:
    """Where codes lie along a direction: the 2nd and the 98th percentile of w·vector."""
    low, high = np.percentile(np.asarray(w, np.float64) @ vector, [2, 98])
    return float(low), float(high)


def _along(w: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Σ·normal of unit length, Σ being the covariance of w."""
    centred = np.asarray(w, np.float64) - np.mean(w, axis=0)
    way = centred.T @ (centred @ normal)
    return (way / np.linalg.norm(way)).astype(np.float32)


def _upright(vectors: np.ndarray) -> np.ndarray:
    """A direction and its opposite are alike: the largest entry is made positive."""
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=1)[:, np.newaxis], axis=1)
    return (vectors * np.sign(largest)).astype(np.float32)


def _split(positive: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices to learn from and to measure on, with the same share of both classes."""
    random = np.random.default_rng(seed)
    unknown = np.zeros(len(positive), bool)
    for part in (np.flatnonzero(positive), np.flatnonzero(~positive)):
        if len(part):
            unknown[random.permutation(part)[: max(2, round(HELD_OUT * len(part)))]] = True
    return np.flatnonzero(~unknown), np.flatnonzero(unknown)
