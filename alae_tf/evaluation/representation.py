"""How well E's features tell classes apart (the paper's Table 1)."""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC

from alae_tf import data
from alae_tf.data import Source
from alae_tf.data.source import within_memory
from alae_tf.evaluation.samples import Samples
from alae_tf.model.autoencoder import Autoencoder
from alae_tf.system import float32

MOST_NEIGHBOURS = 100_000  # images that are compared with; they are held in memory
SVM_C = 0.02  # of the authors


def representation(samples: Samples) -> dict[str, float]:
    """Accuracies in [0, 1] of 1-NN and of a linear SVM, trained on all training images' features
    and tested on all held-out ones; of sets that are too large for memory on as many of each as
    fit, evenly spread, which the counts tell.

    Features: *short*, E(x) = w; *long*, E's second hidden layer (MLP-ALAE) or the styles that E
    takes out of every layer (StyleALAE); and for comparison raw pixels in [−1, 1] and their
    principal components, as many as w has numbers.
    """
    model, train, test = samples.model, samples.train, samples.test
    assert test is not None  # the registry has looked
    train, test = (within_memory(source, model.resolution) for source in (train, test))
    assert train.labels is not None and test.labels is not None
    samples.counts.update(train=len(train), test=len(test))
    images = [data.all_images(source, model.resolution) for source in (train, test)]
    pixels = [x.reshape(len(x), -1).astype(np.float32) / 127.5 - 1.0 for x in images]
    components = min(model.config.latent_size, *pixels[0].shape)
    pca = PCA(components, svd_solver="randomized", random_state=samples.protocol.seed)
    pca.fit(pixels[0])
    features = {
        "short": [model.encode(x) for x in images],
        "long": [model.long_features(x) for x in images],
        "pixels": pixels,
        "pca": [pca.transform(x) for x in pixels],
    }
    values = {}
    for name, (known, unknown) in features.items():
        for kind, accuracy in (("1nn", nearest_neighbour_accuracy), ("svm", svm_accuracy)):
            values[f"{kind}_{name}"] = accuracy(known, train.labels, unknown, test.labels)
    return values


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


def svm_accuracy(
    train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray
) -> float:
    """Accuracy in [0, 1] of a linear SVM (one against the rest, squared hinge, C 0.02, features as
    they are); arguments as above.

    The primal problem is solved, which has the same solution as the authors' dual and is faster
    where there are more images than features.
    """
    classifier = LinearSVC(C=SVM_C, dual=False, max_iter=5000)  # pyright: ignore[reportArgumentType]
    return float(classifier.fit(train, train_labels).score(test, test_labels))


@float32.used()
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
