"""Generated images, and how truncation changes them."""

from collections.abc import Sequence

import numpy as np

from alae_tf.figures.kind import Figure, Kind, choice, number
from alae_tf.images import canvas

COLUMNS = 8  # images per row, with several psi


def draw(figure: Figure, psi: Sequence[float] | None, noise: str) -> np.ndarray:
    """A grid for one psi; a row for each of several, with the same z in each column."""
    model, seed = figure.model, figure.seed
    if psi and len(psi) > 1:
        count = figure.asked or COLUMNS
        rows = [list(model.generate(count, seed, value, noise)) for value in psi]
        return canvas.table(rows, [f"ψ {value:g}" for value in psi])
    images = model.generate(figure.count, seed, psi[0] if psi else None, noise)
    across = max(1, round(figure.count**0.5 * 1.25))  # a little wider than high
    return canvas.table([list(images[i : i + across]) for i in range(0, len(images), across)])


KIND = Kind(
    "new images; several values of --psi draw a row each",
    draw,
    count=40,
    images=None,
    flags={
        "psi": number(
            (-100.0, 100.0),
            "the run's setting",
            "truncation: 1 keeps the full variety, 0 draws the average image alone; several values "
            "draw a row of 8 images each",
            many=True,
        ),
        "noise": choice(
            ("const", "random", "none"),
            "noise in the layers of StyleALAE's G: const, the same in all images; random, drawn "
            "for each image; none, to see what the noise adds",
        ),
    },
)
