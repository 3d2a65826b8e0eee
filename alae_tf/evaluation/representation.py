"""How well E's features tell classes apart (the paper's Table 1)."""

from __future__ import annotations

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from alae_tf import data
from alae_tf.autoencoder import Autoencoder
from alae_tf.data import Source

MOST_NEIGHBOURS = 100_000  # images that are compared with; they are held in memory


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


def summary(model: Autoencoder, source: Source) -> str | None:
    """1-NN accuracy on E(x) of a source's held-out images, in a line for people.

    Args:
        model: gives E(x).
        source: the images that were trained on, in memory for this.

    Returns:
        The line, which tells of too many images too; None where there are no labels or no
        held-out images.
    """
    held_out = source.held_out
    if source.labels is None or held_out is None or held_out.labels is None:
        return None
    if len(source) > MOST_NEIGHBOURS:
        return f"no 1-nearest-neighbour accuracy with over {MOST_NEIGHBOURS:,} images."
    known, unknown = (
        model.encode(data.all_images(part, model.resolution)) for part in (source, held_out)
    )
    accuracy = nearest_neighbour_accuracy(known, source.labels, unknown, held_out.labels)
    return (
        f"1-nearest-neighbour accuracy on E(x): {100 * accuracy:.1f} % of {len(held_out):,} "
        f"held-out images ({len(source):,} to compare with)"
    )
