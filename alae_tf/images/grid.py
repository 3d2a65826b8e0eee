"""Pictures of a run: the sample grid and the loss plot."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence

import matplotlib
import numpy as np
from PIL import Image

from alae_tf.autoencoder import Autoencoder

COLUMNS = 12  # images a row of the grid; fewer where they are large
ROWS = 3  # rows of each kind
SMALLEST = 64  # pixels an image takes in the grid, at least
WIDEST = 2048  # pixels a row takes, if it has more than 4 images


def columns(resolution: int) -> int:
    """Images a row for images of this many pixels: 12 up to 128, 4 at 512 and more."""
    return max(4, min(COLUMNS, WIDEST // resolution))


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


def tile(images: np.ndarray) -> np.ndarray:
    """uint8 [n, H, W, C] → one picture, `columns(H)` a row, small images enlarged."""
    across = columns(images.shape[1])
    factor = max(1, SMALLEST // images.shape[1])
    images = images.repeat(factor, axis=1).repeat(factor, axis=2)
    images = np.pad(images, [(0, 0), (1, 1), (1, 1), (0, 0)], constant_values=128)
    n, height, width, channels = images.shape
    images = images.reshape(n // across, across, height, width, channels)
    return images.transpose(0, 2, 1, 3, 4).reshape(-1, across * width, channels)


def png(picture: np.ndarray) -> bytes:
    """uint8 [H, W, 1 or 3] → the bytes of a PNG file."""
    file = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(file, "PNG")
    return file.getvalue()


def loss_plot(rows: Sequence[dict[str, str]]) -> bytes:
    """The rows of metrics.csv as a PNG: the three losses against images seen, levels marked."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    images = [int(row["images_seen"]) for row in rows]
    figure, axes = pyplot.subplots(figsize=(9, 4.5), layout="constrained")
    labels = {"d": "1: E, D (with R1)", "g": "2: F, G", "latent": "3: latent reconstruction"}
    for name, label in labels.items():
        axes.plot(images, [float(row[f"loss_{name}"]) for row in rows], label=label, linewidth=1)
    for before, row in itertools.pairwise(rows):
        if before["level"] != row["level"]:
            axes.axvline(int(row["images_seen"]), color="grey", linestyle=":")
            axes.annotate(
                f" level {row['level']}",
                (int(row["images_seen"]), 0.98),
                xycoords=("data", "axes fraction"),
                va="top",
                color="grey",
            )
    axes.set(xlabel="images seen", ylabel="loss", yscale="log")
    axes.legend()
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    pyplot.close(figure)
    return file.getvalue()
