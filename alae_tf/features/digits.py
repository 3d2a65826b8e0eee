"""A small classifier of labelled images such as digits; its features and its classes."""

import hashlib
import io
import typing

import keras
import numpy as np

from alae_tf import data
from alae_tf.data import Source
from alae_tf.data.source import within_memory
from alae_tf.features import weights
from alae_tf.features.weights import EvaluationError
from alae_tf.networks import ops
from alae_tf.system.errors import report

STEPS, BATCH, RATE = 1500, 128, 2e-3
FEATURES = 128
SMALLEST = 10  # pixels of an image that two convolutions and poolings leave something of


class Classifier:
    """Two convolutions and two dense layers with weights that `fit` returned.

    Attributes:
        sha256: checksum of the weights.
        size: length of a feature vector, the output of the hidden dense layer.
        accuracy: on held-out images, in [0, 1]; None until it has been measured.
    """

    name, size = "digits", FEATURES

    def __init__(self, arrays: list[np.ndarray], resolution: int, channels: int):
        self._resolution = resolution
        self._whole, self._hidden = build(resolution, channels, len(arrays[-1]))
        self._whole.set_weights(arrays)
        self.accuracy: float | None = None
        self.sha256 = hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """uint8 [N, H, W, C] → features, float32 [N, size]. Images of a lower level are enlarged
        by repeating pixels."""
        return self._hidden(self._prepare(images), training=False).numpy()

    def classify(self, images: np.ndarray) -> np.ndarray:
        """uint8 [N, H, W, C] → classes, int64 [N]."""
        return self._whole(self._prepare(images), training=False).numpy().argmax(axis=1)

    def _prepare(self, images: np.ndarray):
        scale = self._resolution // images.shape[1]
        return ops.to_unit(images.repeat(scale, axis=1).repeat(scale, axis=2))


def classifier(train: Source, test: Source | None, resolution: int) -> Classifier:
    """The classifier of a source's images, from the cache or newly trained.

    A source too large for memory is represented by as many evenly spread images as fit. Raises
    EvaluationError if labels or held-out images are missing, or the resolution is too low.
    """
    if train.labels is None or test is None or test.labels is None:
        raise EvaluationError(
            f"--data={train.uri}: fd_digits and same_digit need labels and held-out images."
        )
    if resolution < SMALLEST:
        raise EvaluationError(
            f"--metrics: fd_digits and same_digit need a model of {SMALLEST} px or more; this one "
            f"ends at {resolution} px."
        )
    train, test = within_memory(train, resolution), within_memory(test, resolution)
    assert train.labels is not None  # within_memory keeps them
    images = data.all_images(train, resolution)
    digest = hashlib.sha256(images.data)
    digest.update(np.ascontiguousarray(train.labels).data)
    path = weights.cache() / f"digits-{digest.hexdigest()[:32]}.npz"
    kept = weights.kept(path)
    if kept is None:
        report("evaluate", f"training a classifier of {train.uri}, which is kept in {path}.")
        arrays = fit(images, train.labels)
        file = io.BytesIO()
        np.savez(file, *arrays)
        weights.keep(path, file.getvalue())
    else:
        with np.load(io.BytesIO(kept), allow_pickle=False) as file:
            arrays = list(file.values())
    found = Classifier(arrays, resolution, train.channels)
    held_out = data.all_images(test, resolution)
    read = [found.classify(held_out[i : i + 1000]) for i in range(0, len(held_out), 1000)]
    found.accuracy = float((np.concatenate(read) == test.labels).mean())
    return found


def build(resolution: int, channels: int, classes: int) -> tuple[keras.Model, keras.Model]:
    """Two models of the same layers: images → probabilities, and images → features."""
    layers = keras.layers
    start: typing.Any = [keras.initializers.GlorotUniform(seed=seed) for seed in range(5)]
    x = images = keras.Input((resolution, resolution, channels))
    for i, width in enumerate((32, 64)):
        x = layers.Conv2D(width, 3, activation="relu", kernel_initializer=start[i])(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Dense(FEATURES, activation="relu", kernel_initializer=start[2])(layers.Flatten()(x))
    hidden = keras.Model(images, x)
    x = layers.Dropout(0.5, seed=3)(x)
    x = layers.Dense(classes, activation="softmax", kernel_initializer=start[4])(x)
    return keras.Model(images, x), hidden


def fit(images: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    """Trains a classifier; returns its weights."""
    model, _ = build(images.shape[1], images.shape[3], int(labels.max()) + 1)
    rate: typing.Any = keras.optimizers.schedules.CosineDecay(RATE, STEPS)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    for _ in range(STEPS):
        chosen = rng.integers(0, len(images), BATCH)
        model.train_on_batch(ops.to_unit(images[chosen]), labels[chosen])
    return model.get_weights()
