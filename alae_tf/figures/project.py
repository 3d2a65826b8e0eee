"""Reconstructions before and after projection, and how the errors fell."""

from __future__ import annotations

import numpy as np

from alae_tf.images import canvas
from alae_tf.images.plots import curve_plot
from alae_tf.latents.projection import Projection


def project(images: np.ndarray, found: Projection) -> np.ndarray:
    """Rows of images, G(E(x)) and what was found; below them the mean errors by iteration.

    Args:
        images: uint8 [N, H, W, C].
        found: what became of them.
    """
    rows = [list(images), list(found.reconstructed), list(found.projected)]
    marks = [
        f"{before:.2f}→{after:.2f}".replace("0.", ".")
        for before, after in zip(found.perceptual[:, 0], found.perceptual[:, -1], strict=True)
    ]
    pictures = canvas.table(rows, ["x", "G(E(x))", "projected"], marks)
    plot = curve_plot(
        {
            "LPIPS": found.perceptual.mean(axis=0),
            "mean squared error": found.squared.mean(axis=0),
        },
        "iteration",
    )
    return canvas.below([pictures, plot])
