"""A small classifier of labelled images, as digits are: its features, and what it reads."""

from __future__ import annotations

import hashlib
import io
import sys
import typing
from pathlib import Path

import keras
import numpy as np

from alae_tf import data
from alae_tf.data import Source
from alae_tf.data.source import within_memory
from alae_tf.features import weights
from alae_tf.features.weights import EvaluationError

STEPS, BATCH, RATE = 1500, 128, 2e-3
FEATURES = 128


class Classifier:
    """Two convolutions and two dense layers, trained on a source's images.

    Attributes:
        name: "digits"; sha256: of its weights.
        size: length of a feature vector, the last hidden layer.
        accuracy: share of held-out images that it reads right; None before it is measured.
    """

    name, size = "digits", FEATURES

    def __init__(self, arrays: list[np.ndarray], resolution: int, channels: int):
        self._resolution = resolution
        self._whole, self._hidden = build(resolution, channels, len(arrays[-1]))
        self._whole.set_weights(arrays)
        self.accuracy: float | None = None
        self.sha256 = hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """uint8 [N, H, W, C] → features, float32 [N, size].

        Images of a lower level are enlarged pixel by pixel.
        """
        return self._hidden(self._prepare(images), training=False).numpy()

    def classify(self, images: np.ndarray) -> np.ndarray:
        """uint8 [N, H, W, C] → classes, int64 [N]."""
        return self._whole(self._prepare(images), training=False).numpy().argmax(axis=1)

    def save(self, path: Path) -> None:
        """Keeps the weights for the next time, where that is possible."""
        buffer = io.BytesIO()
        np.savez(buffer, *self._whole.get_weights())
        weights.keep(path, buffer.getvalue())

    def _prepare(self, images: np.ndarray) -> np.ndarray:
        scale = self._resolution // images.shape[1]
        return to_unit(images.repeat(scale, axis=1).repeat(scale, axis=2))


def classifier(train: Source, test: Source | None, resolution: int) -> Classifier:
    """The classifier of a source's images: from the cache, else trained and put there. Of sets
    too large for memory as many images as fit are taken, evenly spread.

    Raises:
        EvaluationError: the images have no labels, or none are held out.
    """
    if train.labels is None or test is None or test.labels is None:
        raise EvaluationError(
            f"--data={train.uri}: fd_digits and same_digit need labels and held-out images."
        )
    train, test = within_memory(train, resolution), within_memory(test, resolution)
    assert train.labels is not None  # as before
    images = data.all_images(train, resolution)
    digest = hashlib.sha256(images.data)
    digest.update(np.ascontiguousarray(train.labels).data)
    path = weights.cache() / f"digits-{digest.hexdigest()[:32]}.npz"
    kept = weights.kept(path)
    if kept is None:
        print(f"evaluate: trains a classifier of {train.uri} once, into {path}", file=sys.stderr)
        found = Classifier(fit(images, train.labels), resolution, train.channels)
        found.save(path)
    else:
        with np.load(io.BytesIO(kept), allow_pickle=False) as file:
            found = Classifier(list(file.values()), resolution, train.channels)
    held_out = data.all_images(test, resolution)
    read = [found.classify(held_out[i : i + 1000]) for i in range(0, len(held_out), 1000)]
    found.accuracy = float((np.concatenate(read) == test.labels).mean())
    return found


def build(resolution: int, channels: int, classes: int) -> tuple[keras.Model, keras.Model]:
    """The classifier (images → probabilities), and the same up to its features."""
    layers = keras.layers

    def seeded(seed: int) -> typing.Any:
        return keras.initializers.GlorotUniform(seed=seed)

    x = images = keras.Input((resolution, resolution, channels))
    for seed, width in enumerate((32, 64)):
        x = layers.Conv2D(width, 3, activation="relu", kernel_initializer=seeded(seed))(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Dense(FEATURES, activation="relu", kernel_initializer=seeded(2))(layers.Flatten()(x))
    hidden = keras.Model(images, x)
    x = layers.Dropout(0.5, seed=3)(x)
    x = layers.Dense(classes, activation="softmax", kernel_initializer=seeded(4))(x)
    return keras.Model(images, x), hidden


def fit(images: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    """Trains a classifier; returns its weights."""
    model, _ = build(images.shape[1], images.shape[3], int(labels.max()) + 1)
    rate: typing.Any = keras.optimizers.schedules.CosineDecay(RATE, STEPS)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    for _ in range(STEPS):
        chosen = rng.integers(0, len(images), BATCH)
        model.train_on_batch(to_unit(images[chosen]), labels[chosen])
    return model.get_weights()


def to_unit(images: np.ndarray) -> np.ndarray:
    """uint8 → float32 in [−1, 1]."""
    return images.astype(np.float32) / 127.5 - 1.0
