"""The same images over a run's checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from alae_tf.autoencoder import Autoencoder
from alae_tf.data import Source
from alae_tf.images import canvas


def training(models: Iterable[Autoencoder], source: Source, count: int, seed: int) -> np.ndarray:
    """A row of reconstructions and one of generated images for each checkpoint, oldest first.

    Args:
        models: of one run, at its checkpoints.
        source: of the images; `count` of them, evenly spread, are reconstructed.
        count: images a row.
        seed: of the generated ones.
    """
    rows, labels, side = [], [], 0
    for model, real, again, new in _stages(models, source, count, seed):
        if model.resolution > side:  # a level more: the originals as it sees them
            side = model.resolution
            rows.append(list(real))
            labels.append(f"x at {side} px")
        rows += [list(again), list(new)]
        labels += [f"{model.images_seen:,} images", "generated"]
    return canvas.table([[_enlarge(cell, side) for cell in row] for row in rows], labels)


def animation(
    models: Iterable[Autoencoder], source: Source, count: int, seed: int
) -> list[np.ndarray]:
    """A frame for each checkpoint: originals, reconstructions, generated images."""
    stages = list(_stages(models, source, count, seed))
    side = max(model.resolution for model, *_ in stages)
    longest = f"{max(model.images_seen or 0 for model, *_ in stages):,} images"
    frames = []
    for model, *rows in stages:
        cells = [[_enlarge(image, side) for image in row] for row in rows]
        seen = f"{model.images_seen:,} images".rjust(len(longest), "\u2007")  # as wide as a digit
        frames.append(canvas.table(cells, [seen, "G(E(x))", "generated"]))
    widest = max(frame.shape[1] for frame in frames)
    return [
        np.pad(frame, [(0, 0), (widest - frame.shape[1], 0), (0, 0)], constant_values=canvas.WHITE)
        for frame in frames
    ]


def _stages(
    models: Iterable[Autoencoder], source: Source, count: int, seed: int
) -> Iterator[tuple[Autoencoder, np.ndarray, np.ndarray, np.ndarray]]:
    """(model, originals, reconstructions, generated images) at each checkpoint."""
    places = np.linspace(0, len(source), count, endpoint=False).astype(int)
    for model in models:
        real = np.stack([source.fitted(int(i), model.resolution) for i in places])
        yield model, real, model.reconstruct(real), model.generate(count, seed)


def _enlarge(image: np.ndarray, side: int) -> np.ndarray:
    factor = side // len(image)
    return image.repeat(factor, axis=0).repeat(factor, axis=1)
