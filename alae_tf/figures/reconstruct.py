"""Images over their reconstructions."""

from __future__ import annotations

import numpy as np

from alae_tf.autoencoder import Autoencoder
from alae_tf.images import canvas
from alae_tf.images.fit import fit

WIDTH = 8  # pairs a row
MOSAIC = (1, 4, 16)  # pairs at full, half and quarter size


def pairs(model: Autoencoder, images: np.ndarray) -> np.ndarray:
    """Rows of images uint8 [N, H, W, C], each row over a row of G(E(x))."""
    again = model.reconstruct(images)
    cells, labels = [], []
    for start in range(0, len(images), WIDTH):
        cells += [list(images[start : start + WIDTH]), list(again[start : start + WIDTH])]
        labels += ["x", "G(E(x))"]
    return canvas.table(cells, labels)


def mosaic(model: Autoencoder, images: np.ndarray) -> np.ndarray:
    """Pairs at full, half and quarter size, originals left of reconstructions.

    Reference: the layout of the paper's Fig. 5, where many reconstructions fit into one picture.
    """
    again = model.reconstruct(images)
    side, blocks, start = model.resolution, [], 0
    factor = max(1, canvas.SMALLEST * 4 // side)  # the smallest are of 64 px at least
    for k, count in enumerate(MOSAIC):
        chosen = range(start, min(start + count, len(images)))
        start += count
        columns = []
        for which in (images, again):
            cells = np.full((count, side, side, which.shape[-1]), 255, np.uint8)
            for place, i in enumerate(chosen):
                cells[place] = which[i]
            across = int(count**0.5)
            block = cells.reshape(across, across, side, side, -1).transpose(0, 2, 1, 3, 4)
            block = block.reshape(across * side, across * side, -1)
            large = block.repeat(factor, axis=0).repeat(factor, axis=1)
            columns.append(fit(large, side * factor) if k else large)
        blocks += columns
    return canvas.beside([canvas.table([[each]]) for each in blocks])
