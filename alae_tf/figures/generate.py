"""New images, and how truncation changes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from alae_tf.autoencoder import Autoencoder
from alae_tf.images import canvas


def generate(
    model: Autoencoder, count: int, seed: int = 0, psi: Sequence[float] = (), noise: str = "const"
) -> np.ndarray:
    """New images: a row for each psi, the same z down a column; of one psi a square grid."""
    if len(psi) > 1:
        rows = [list(model.generate(count, seed, value, noise)) for value in psi]
        return canvas.table(rows, [f"ψ {value:g}" for value in psi])
    images = model.generate(count, seed, psi[0] if psi else None, noise)
    across = max(1, round(count**0.5 * 1.25))  # a little wider than high
    rows = [list(images[start : start + across]) for start in range(0, count, across)]
    return canvas.table(rows)
