"""Paths between images."""

from __future__ import annotations

import itertools

import numpy as np

from alae_tf.figures.kind import Drawing, Figure, FigureError, Kind, choice, number, switch
from alae_tf.images import canvas
from alae_tf.latents.codes import lerp, slerp


def check(figure: Figure, random: bool, space: str, psi: float | None, steps: int | None) -> None:
    """Raises FigureError for flags that exclude each other."""
    if random and figure.named:
        raise FigureError("--random: draws random codes; omit --images.")
    if not random and psi is not None:
        raise FigureError(f"--psi={psi:g}: applies to random codes; add --random.")
    if not random and space == "z":
        raise FigureError("--space=z: E gives w, not z; add --random to draw random codes.")


def draw(figure: Figure, random: bool, space: str, psi: float | None, steps: int | None) -> Drawing:
    """A row for each path, or the frames of one closed path through all images or codes."""
    steps = steps or (24 if figure.moving else 7)
    images = None if random else figure.images()
    if (figure.count if images is None else len(images)) < 2:
        flag = "--images" if figure.named else "--count"
        raise FigureError(f"{flag}: a path needs at least two images.")
    if images is None:
        return between_codes(figure, space, psi, steps)
    return between_images(figure, images, steps)


def between_images(figure: Figure, images: np.ndarray, steps: int) -> Drawing:
    """From each image x to the next, y: x, the path in w from E(x) to E(y), y."""
    w = figure.model.encode(images, layers=True)
    if figure.moving:
        t, following = np.arange(steps) / steps, np.roll(w, -1, axis=0)
        return frames(figure, [lerp(a, b, t) for a, b in zip(w, following, strict=True)])
    t, rows = np.linspace(0, 1, steps), []
    for i in range(len(images) - 1):
        path = figure.model.decode(lerp(w[i], w[i + 1], t))
        rows.append([images[i], *path, images[i + 1]])
    return canvas.table(rows, top=["x", *[f"{value:.2g}" for value in t], "y"])


def between_codes(figure: Figure, space: str, psi: float | None, steps: int) -> Drawing:
    """From each random code to the next."""
    model = figure.model
    psi = model.config.truncation_psi if psi is None else psi
    if figure.moving:
        found = paths(figure, steps + 1, space, closed=True)
        return frames(figure, [model.truncate(path[:-1], psi) for path in found])
    found = [model.truncate(path, psi) for path in paths(figure, steps, space)]
    return canvas.table([list(model.decode(path)) for path in found])


def frames(figure: Figure, found: list[np.ndarray]) -> list[np.ndarray]:
    """A frame for each code of the paths."""
    return [canvas.table([[image]]) for image in figure.model.decode(np.concatenate(found))]


def paths(figure: Figure, steps: int, space: str, closed: bool = False) -> list[np.ndarray]:
    """w [steps, latent] from each random code to the next.

    Args:
        space: "w": straight lines between F(z); "z": arcs between the z.
        closed: whether a path leads from the last code to the first.
    """
    z = figure.model.sample_z(figure.count, figure.seed)
    ends = [*range(len(z)), *[0] * closed]
    t = np.linspace(0, 1, steps)
    if space == "z":
        arcs = [slerp(z[a], z[b], t) for a, b in itertools.pairwise(ends)]
        return [figure.model.map(arc) for arc in arcs]
    w = figure.model.map(z)
    return [lerp(w[a], w[b], t) for a, b in itertools.pairwise(ends)]


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
        "steps": number(
            (2, 1000),
            "7, or 24 in an animation",
            "images on each path; more make an animation smoother and longer",
        ),
    },
)
