"""Paths between images."""

from __future__ import annotations

import numpy as np

from alae_tf.autoencoder import Autoencoder
from alae_tf.figures import FigureError
from alae_tf.images import canvas
from alae_tf.latents.codes import lerp, slerp


def between_images(model: Autoencoder, images: np.ndarray, steps: int) -> np.ndarray:
    """A row for each image and the next one: x, the path in w from E(x) to E(y), y."""
    w = model.encode(images)
    t, rows = np.linspace(0, 1, steps), []
    for i in range(len(images) - 1):
        path = model.decode(lerp(w[i], w[i + 1], t))
        rows.append([images[i], *path, images[i + 1]])
    return canvas.table(rows, top=["x", *[f"{value:.2g}" for value in t], "y"])


def between_samples(
    model: Autoencoder, count: int, steps: int, seed: int, space: str, psi: float | None
) -> np.ndarray:
    """A row for each random code and the next one, straight in w or round in z."""
    rows = []
    for path in paths(model, count, steps, seed, space):
        rows.append(list(model.decode(model.truncate(path, _psi(model, psi)))))
    return canvas.table(rows)


def animation(
    model: Autoencoder,
    images: np.ndarray | None,
    count: int,
    steps: int,
    seed: int,
    space: str,
    psi: float | None,
) -> list[np.ndarray]:
    """Frames of a path that passes by all images, or by random codes, and ends where it began."""
    if images is None:
        w = np.concatenate(
            [path[:-1] for path in paths(model, count, steps + 1, seed, space, closed=True)]
        )
        codes = model.truncate(w, _psi(model, psi))
    else:
        w = model.encode(images)
        t = np.arange(steps) / steps
        codes = np.concatenate([lerp(a, b, t) for a, b in zip(w, np.roll(w, -1, 0), strict=True)])
    return [canvas.table([[image]]) for image in model.decode(codes)]


def paths(
    model: Autoencoder, count: int, steps: int, seed: int, space: str, closed: bool = False
) -> list[np.ndarray]:
    """w [steps, latent] from each of `count` random codes to the next one.

    Args:
        space: "w": straight lines between F(z); "z": arcs between the z.
        closed: whether the last one leads back to the first.
    """
    if space not in ("w", "z"):
        raise FigureError(f"--space={space}: expected w or z")
    z = model.sample_z(count, seed)
    ends = list(range(count)) + ([0] if closed else [])
    t = np.linspace(0, 1, steps)
    if space == "z":
        return [model.map(slerp(z[a], z[b], t)) for a, b in zip(ends, ends[1:], strict=False)]
    w = model.map(z)
    return [lerp(w[a], w[b], t) for a, b in zip(ends, ends[1:], strict=False)]


def _psi(model: Autoencoder, psi: float | None) -> float:
    return model.config.truncation_psi if psi is None else psi
