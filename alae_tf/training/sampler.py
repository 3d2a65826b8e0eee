"""The sample grid of a run."""

from __future__ import annotations

import numpy as np

from alae_tf.autoencoder import Autoencoder
from alae_tf.images.picture import columns, tile

ROWS = 3  # rows of each kind


def grid_images(resolution: int) -> int:
    """Originals that a sample grid shows: ROWS rows, 1 where they are large."""
    return columns(resolution) * (ROWS if resolution <= 128 else 1)


def sample_grid(model: Autoencoder, originals: np.ndarray, seed: int = 0) -> np.ndarray:
    """Originals over their reconstructions, then generated images.

    Args:
        model: what is shown.
        originals: uint8 [n, H, W, C], n a multiple of `columns(H)`.
        seed: of the generated images.

    Returns:
        uint8 [height, width, C]: for each row of originals a row of reconstructions below it;
        under a wider gap as many rows of generated images.
    """
    rows, generated = [], []
    width = columns(originals.shape[1])
    for start in range(0, len(originals), width):  # row by row, to stay small in memory
        part = originals[start : start + width]
        rows += [part, model.reconstruct(part)]
        generated.append(model.generate(width, seed=seed + start))
    upper, lower = tile(np.concatenate(rows)), tile(np.concatenate(generated))
    gap = np.full((8, *upper.shape[1:]), 255, np.uint8)
    return np.concatenate([upper, gap, lower])
