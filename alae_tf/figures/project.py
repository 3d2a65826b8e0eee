"""Reconstructions before and after projection, and curves of the errors."""

import numpy as np

from alae_tf.figures.kind import Figure, Kind, choice, number, switch
from alae_tf.images import canvas
from alae_tf.images.plots import curve_plot


def draw(
    figure: Figure, space: str, steps: int, pixels: float, pull: float, move_noise: bool
) -> np.ndarray:
    from alae_tf.features.lpips import Lpips
    from alae_tf.model.projection import project

    model, images = figure.model, figure.images()
    found = project(model, images, Lpips(), space, steps, pixels, pull, move_noise, progress=True)
    rows = [list(images), list(found.reconstructed), list(found.projected)]
    marks = [
        f"{before:.2f}→{after:.2f}".replace("0.", ".")
        for before, after in zip(found.perceptual[:, 0], found.perceptual[:, -1], strict=True)
    ]
    pictures = canvas.table(rows, ["x", "G(E(x))", "projected"], marks)
    errors = {"LPIPS": found.perceptual, "mean squared error": found.squared}
    curves = {name: values.mean(axis=0) for name, values in errors.items()}
    return canvas.below([pictures, curve_plot(curves, "iteration")])


KIND = Kind(
    "reconstructions before and after descent on LPIPS and pixels, and the error curves",
    draw,
    count=8,
    flags={
        "space": choice(
            ("styles", "w"),
            "what is optimised: styles, a code for each layer, which comes nearer to the image; w, "
            "one code for all layers, which is easier to edit",
        ),
        "steps": number(
            (1, 100_000), 150, "iterations; more take longer and come nearer to the image"
        ),
        "pixels": number((0.0, 1e6), 1.0, "weight of the squared error; LPIPS has weight 1"),
        "pull": number(
            (0.0, 1e6), 0.02, "weight of the distance from E(x); raise it if edits fail"
        ),
        "move_noise": switch("optimise the noise maps too, for the finest details"),
    },
)
