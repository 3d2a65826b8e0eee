"""Paths between images."""

import itertools

import numpy as np

from alae_tf.figures.kind import STEPS, Drawing, Figure, FigureError, Kind, choice, number, switch
from alae_tf.images import canvas
from alae_tf.latents.codes import lerp, slerp


def check(figure: Figure, random: bool, space: str, psi: float | None, steps: int | None) -> None:
    if random and figure.named:
        raise FigureError("--random: draws random codes; omit --images.")
    if not random and psi is not None:
        raise FigureError(f"--psi={psi:g}: applies to random codes; add --random.")
    if not random and space == "z":
        raise FigureError("--space=z: E gives w, not z; add --random to draw random codes.")


def draw(figure: Figure, random: bool, space: str, psi: float | None, steps: int | None) -> Drawing:
    """A row for each path, or the frames of one closed path through all images or codes.

    From each image x to the next, y, a row holds x, the path in w from E(x) to E(y), and y.
    """
    model, steps = figure.model, figure.steps(steps)
    images = None if random else figure.images()
    if (figure.count if images is None else len(images)) < 2:
        flag = "--images" if figure.named else "--count"
        raise FigureError(f"{flag}: a path needs at least two images.")
    t = np.linspace(0, 1, steps, endpoint=not figure.moving)
    if images is None:
        psi = model.config.truncation_psi if psi is None else psi
        found = paths(figure, steps + figure.moving, space, closed=figure.moving)
        found = [model.truncate(path[:steps], psi) for path in found]
    else:
        w = model.encode(images, layers=True)
        ends = [*w, w[0]] if figure.moving else w
        found = [lerp(a, b, t) for a, b in itertools.pairwise(ends)]
    if figure.moving:
        return [canvas.table([[image]]) for image in model.decode(np.concatenate(found))]
    rows = [list(model.decode(path)) for path in found]
    if images is None:
        return canvas.table(rows)
    rows = [[x, *row, y] for row, (x, y) in zip(rows, itertools.pairwise(images), strict=True)]
    return canvas.table(rows, top=["x", *[f"{value:.2g}" for value in t], "y"])


def paths(figure: Figure, steps: int, space: str, closed: bool = False) -> list[np.ndarray]:
    """w [steps, latent] from each random code to the next, if `closed` also from the last to the
    first: straight lines between F(z) ("w"), or F of arcs between the z ("z")."""
    z, t = figure.model.sample_z(figure.count, figure.seed), np.linspace(0, 1, steps)
    codes = z if space == "z" else figure.model.map(z)
    pairs = itertools.pairwise([*codes, *[codes[0]] * closed])
    if space == "z":
        return [figure.model.map(slerp(a, b, t)) for a, b in pairs]
    return [lerp(a, b, t) for a, b in pairs]


KIND = Kind(
    "paths between images or random codes; .gif and .webp files are animated",
    draw,
    count=6,
    check=check,
    seconds=0.06,
    flags={
        "random": switch("draw paths between random codes instead of images"),
        "space": choice(
            ("w", "z"),
            "space of the paths between random codes: w, straight lines; z, arcs, on which all "
            "codes are as likely as random ones",
        ),
        "psi": number(
            (-100.0, 100.0),
            "the run's setting",
            "truncation of random codes: 1 keeps the full variety, 0 draws the average image alone",
        ),
        "steps": STEPS,
    },
)
