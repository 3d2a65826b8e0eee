"""Images above their reconstructions."""

import numpy as np

from alae_tf.figures.kind import Figure, Kind, switch
from alae_tf.images import canvas
from alae_tf.images.fit import fit

WIDTH = 8  # pairs per row
MOSAIC = (1, 4, 16)  # pairs at full, half and quarter size


def draw(figure: Figure, mosaic: bool) -> np.ndarray:
    """Rows of images, each above a row of their G(E(x)); or a mosaic."""
    images = figure.images(figure.asked or sum(MOSAIC) if mosaic else figure.count)
    again = figure.model.reconstruct(images)
    if mosaic:
        return in_sizes(images, again)
    cells = []
    for start in range(0, len(images), WIDTH):
        cells += [list(images[start : start + WIDTH]), list(again[start : start + WIDTH])]
    return canvas.table(cells, ["x", "G(E(x))"] * (len(cells) // 2))


def in_sizes(images: np.ndarray, again: np.ndarray) -> np.ndarray:
    """Pairs at full, half and quarter size, originals left of reconstructions, as in the paper's
    Fig. 5."""
    side, blocks, start = images.shape[1], [], 0
    factor = max(1, canvas.SMALLEST * 4 // side)  # the smallest are at least 64 px
    for k, count in enumerate(MOSAIC):
        for which in (images, again):
            cells = np.full((count, side, side, which.shape[-1]), 255, np.uint8)
            shown = which[start : start + count]
            cells[: len(shown)] = shown
            block = np.vstack([np.hstack([*row]) for row in np.split(cells, int(count**0.5))])
            large = block.repeat(factor, axis=0).repeat(factor, axis=1)
            blocks.append(fit(large, side * factor) if k else large)
        start += count
    return canvas.beside([canvas.table([[each]]) for each in blocks])


KIND = Kind(
    "images above their reconstructions",
    draw,
    count=16,
    flags={
        "mosaic": switch(
            "draw 21 images in less space: one at full size, four at half, sixteen at a quarter"
        )
    },
)
