"""How well E's features tell classes apart (the paper's Table 1)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

BATCH = 100  # images encoded at once


def features(encode: Callable[[np.ndarray], np.ndarray], images: np.ndarray) -> np.ndarray:
    """Encodes images [n, H, W, C] in batches → [n, features]."""
    return np.concatenate([encode(images[i : i + BATCH]) for i in range(0, len(images), BATCH)])


def nearest_neighbour_accuracy(
    train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray
) -> float:
    """Accuracy in [0, 1] of the exact Euclidean 1-nearest-neighbour classifier.

    Args:
        train, test: features [n, d], [m, d].
        train_labels, test_labels: classes [n], [m].
    """
    classifier = KNeighborsClassifier(n_neighbors=1, algorithm="brute")
    return float(classifier.fit(train, train_labels).score(test, test_labels))
