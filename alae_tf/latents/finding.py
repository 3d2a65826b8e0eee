"""Finds directions in w from labels, from measured values, or without either.

Labels give a plane that separates classes of w, values give a linear function of w. The direction
is not the normal n but Σn, with the covariance Σ of w: the shortest way across the plane, measured
in standard deviations of the data. If w varies much more in some directions than in others, the
normal leads away from the data; on digits, moving along it changed nothing visible. w·n predicts
the label of a code, and the measure of a direction says how well.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from alae_tf.latents import LatentError

HELD_OUT = 0.2  # share of the codes on which a direction is measured
LEAST = 10  # codes of a class, or values
SVM_C = 1.0  # for standardised codes
CHANCE = 1.645  # standard deviations; 5 % of normal deviates exceed them


class Found(NamedTuple):
    """A direction found from labels."""

    vector: np.ndarray  # Σn as a unit vector [latent]: codes are moved along it
    normal: np.ndarray  # n as a unit vector [latent]: w·n predicts the labels
    measure: float  # how well w·n agrees with the labels of the held-out codes
    chance: float  # the measure that random labels stay below in 95 % of cases


def from_classes(w: np.ndarray, positive: np.ndarray, seed: int = 0) -> Found:
    """The direction from codes outside a class to codes in it, across the plane of a linear SVM.

    Args:
        w: codes [N, latent].
        positive: bool [N], whether a code is in the class.
        seed: int. Chooses the held-out codes.

    Returns:
        The direction towards the class; the measure is the balanced accuracy on a held-out fifth,
        in [0, 1], around 0.5 by chance.

    Raises:
        LatentError: the class or its complement has fewer than 10 codes.

    Reference: Shen et al., InterFaceGAN, CVPR 2020, who take the normal.
    """
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.svm import LinearSVC

    positive = np.asarray(positive, bool)
    if min(positive.sum(), (~positive).sum()) < LEAST:
        raise LatentError(
            f"{positive.sum():,} images belong to the class and {(~positive).sum():,} do not; "
            f"expected at least {LEAST} of each"
        )
    svm = LinearSVC(C=SVM_C, class_weight="balanced", dual=False, max_iter=5000)  # pyright: ignore[reportArgumentType]
    vector, normal, read, unknown = _fit(svm, w, positive, positive, seed)
    truth = positive[unknown]
    accuracy = float(balanced_accuracy_score(truth, read))
    deviation = (1 / truth.sum() + 1 / (~truth).sum()) ** 0.5 / 4  # of guesses, at most
    return Found(vector, normal, accuracy, float(0.5 + CHANCE * deviation))


def from_values(w: np.ndarray, values: np.ndarray, seed: int = 0) -> Found:
    """The direction in which a linear function of w [N, latent], fitted to values [N], grows.

    Returns:
        The direction towards larger values; the measure is the correlation on a held-out fifth, in
        [−1, 1], around 0 by chance.

    Raises:
        LatentError: there are fewer than 10 values, or all are equal.
    """
    from sklearn.linear_model import RidgeCV

    values = np.asarray(values, np.float64)
    if len(values) < LEAST or np.ptp(values) == 0:
        raise LatentError(
            f"{len(values):,} values, {len(np.unique(values)):,} of them different; expected at "
            f"least {LEAST} values, not all equal"
        )
    ridge, one_class = RidgeCV(alphas=np.logspace(-2, 4, 13)), np.zeros(len(values), bool)
    vector, normal, read, unknown = _fit(ridge, w, values, one_class, seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.nan_to_num(np.corrcoef(read, values[unknown])[0, 1])
    return Found(vector, normal, float(correlation), CHANCE / (len(unknown) - 1) ** 0.5)


def principal(w: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Principal components of codes: (unit vectors [count, latent] by decreasing variance; their
    shares of the variance). Raises LatentError if all codes are equal.

    Reference: Härkönen et al., GANSpace, NeurIPS 2020.
    """
    centred = np.asarray(w, np.float64) - np.mean(w, axis=0)
    _, lengths, vectors = np.linalg.svd(centred, full_matrices=False)
    if not lengths.any():
        raise LatentError("components: all codes are equal; expected at least two that differ")
    shares = lengths**2 / (lengths**2).sum()
    return _upright(vectors[:count]), shares[:count]


def factorised(kernels: Sequence[np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
    """The directions that change G's styles most, in closed form from its weights: the kernels
    [latent, 2·channels] of the dense layers that compute styles from w.

    Returns:
        (unit vectors [count, latent] by decreasing effect; their shares of the whole effect).

    Reference: Shen and Zhou, Closed-form factorization of latent semantics (SeFa), CVPR 2021.
    """
    joined = np.concatenate([k / np.linalg.norm(k, axis=0, keepdims=True) for k in kernels], axis=1)
    values, vectors = np.linalg.eigh(np.asarray(joined @ joined.T, np.float64))
    shares = values[::-1] / values.sum()
    return _upright(vectors[:, ::-1].T[:count]), shares[:count]


def span(w: np.ndarray, vector: np.ndarray) -> tuple[float, float]:
    """Range of codes along a direction: the 2nd and the 98th percentile of w·vector."""
    low, high = np.percentile(np.asarray(w, np.float64) @ vector, [2, 98])
    return float(low), float(high)


def _upright(vectors: np.ndarray) -> np.ndarray:
    """Directions, turned so that their largest entry is positive: the sign has no meaning."""
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=1)[:, np.newaxis], axis=1)
    return (vectors * np.sign(largest)).astype(np.float32)


def _fit(model, w: np.ndarray, y: np.ndarray, positive: np.ndarray, seed: int):
    """Fits a linear model of y to standardised codes, without a held-out fifth of each class.

    Returns:
        (Σn as a unit vector, with the covariance Σ of w; n as a unit vector; the model's
        predictions for the fifth; the indices of the fifth).
    """
    random = np.random.default_rng(seed)
    out = np.zeros(len(w), bool)
    for part in (np.flatnonzero(positive), np.flatnonzero(~positive)):
        if len(part):
            out[random.permutation(part)[: max(2, round(HELD_OUT * len(part)))]] = True
    known, unknown = np.flatnonzero(~out), np.flatnonzero(out)
    mean, scale = w.mean(axis=0), w.std(axis=0).mean()
    model.fit((w[known] - mean) / scale, y[known])
    predicted = model.predict((w[unknown] - mean) / scale)
    centred = np.asarray(w, np.float64) - np.mean(w, axis=0)
    normal = np.ravel(model.coef_)
    way = centred.T @ (centred @ normal)
    vector, normal = ((each / np.linalg.norm(each)).astype(np.float32) for each in (way, normal))
    return vector, normal, predicted, unknown
