"""How well E's features tell classes apart (the paper's Table 1)."""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC

from alae_tf import data
from alae_tf.data import Source
from alae_tf.data.source import within_memory
from alae_tf.evaluation.baseline import rows
from alae_tf.evaluation.samples import Samples
from alae_tf.model.autoencoder import Autoencoder
from alae_tf.system import float32

MOST_NEIGHBOURS = 100_000  # training images of `summary`, all in memory
SVM_C = 0.02  # the authors'


def representation(samples: Samples) -> dict[str, float]:
    """Accuracies in [0, 1] of 1-NN and of a linear SVM on several features.

    Both are trained on all training images and tested on all held-out images, or on as many of
    them, evenly spread, as fit into memory; the counts record how many.

    Features: *short*, w = E(x); *long*, see `Autoencoder.long_features`; for comparison *pixels* in
    [−1, 1] and *pca*, as many of their principal components as w has numbers.
    """
    model, train, test = samples.model, samples.train, samples.test
    assert test is not None  # checked by the registry
    train, test = (within_memory(source, model.resolution) for source in (train, test))
    assert train.labels is not None and test.labels is not None
    samples.counts.update(train=len(train), test=len(test))
    images = [data.all_images(source, model.resolution) for source in (train, test)]
    pixels = [rows(x) for x in images]
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
    """Accuracy in [0, 1] of the exact Euclidean 1-nearest-neighbour classifier, on features
    [n, d], [m, d] with classes [n], [m]."""
    classifier = KNeighborsClassifier(n_neighbors=1, algorithm="brute")
    return float(classifier.fit(train, train_labels).score(test, test_labels))


def svm_accuracy(
    train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray
) -> float:
    """Accuracy in [0, 1] of a linear SVM: one against the rest, squared hinge loss, C 0.02,
    features not scaled. For the arguments, see `nearest_neighbour_accuracy`.

    Solves the primal problem, which has the same solution as the authors' dual and is faster for
    more images than features.
    """
    classifier = LinearSVC(C=SVM_C, dual=False, max_iter=5000)  # pyright: ignore[reportArgumentType]
    return float(classifier.fit(train, train_labels).score(test, test_labels))


@float32.used()
def summary(model: Autoencoder, source: Source) -> str | None:
    """A sentence with the 1-NN accuracy on E(x) of a source's held-out images, or with the reason
    why it was not measured (too many images); None without labels or held-out images."""
    held_out = source.held_out
    if source.labels is None or held_out is None or held_out.labels is None:
        return None
    if len(source) > MOST_NEIGHBOURS:
        return f"no 1-nearest-neighbour accuracy with more than {MOST_NEIGHBOURS:,} images."
    known, unknown = (
        model.encode(data.all_images(part, model.resolution)) for part in (source, held_out)
    )
    accuracy = nearest_neighbour_accuracy(known, source.labels, unknown, held_out.labels)
    return (
        f"1-nearest-neighbour accuracy on E(x): {100 * accuracy:.1f} % of {len(held_out):,} "
        f"held-out images ({len(source):,} to compare with)"
    )
