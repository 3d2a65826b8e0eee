"""Images moved along named directions."""

from pathlib import Path

import numpy as np

from alae_tf.figures.kind import STEPS, Drawing, Figure, Kind, names, number
from alae_tf.images import canvas
from alae_tf.latents import directions as directions_
from alae_tf.latents import levels as levels_
from alae_tf.latents.codes import move

REACH = 3.0  # distance along a direction without a span


def draw(
    figure: Figure,
    directions: Path,
    names: list[str] | None,
    strength: float,
    levels: str,
    steps: int | None,
) -> Drawing:
    """A row for each image and direction: x, then G of E(x) moved along it; or frames in which all
    images move along each direction and back."""
    model, steps = figure.model, figure.steps(steps)
    rows = levels_.rows(levels_.parse(levels, model.level + 1))
    chosen = directions_.read(directions, model.config.latent_size, model.fingerprint)
    if names:
        chosen = directions_.choose(chosen, names, directions)
    else:
        chosen = chosen[: 1 if figure.moving else 4]
    images = figure.images()
    w, styles = model.encode(images), model.encode(images, layers=True)
    cells, labels, frames = [], [], []
    for direction in chosen:
        far = amounts(direction, w, steps, strength)
        if figure.moving:
            moved = [move(styles, direction.vector, far[:, k], rows) for k in range(steps)]
            pictures = [canvas.table([list(model.decode(codes))]) for codes in moved]
            frames += [*pictures, *pictures[-2:0:-1]]
            continue
        for i, image in enumerate(images):
            codes = np.repeat(styles[i : i + 1], steps, axis=0)
            cells.append([image, *model.decode(move(codes, direction.vector, far[i], rows))])
            labels.append(direction.name if i == 0 else "")
    return frames or canvas.table(cells, labels, ["x", "−", *[""] * (steps - 2), "+"])


def amounts(
    direction: directions_.Direction, w: np.ndarray, steps: int, strength: float
) -> np.ndarray:
    """Movement of each code in each step [N, steps], from one end of the span to the other.

    `strength` stretches the span, the range of the data, about its middle. Without a span, each
    code moves equally far both ways.
    """
    t = np.linspace(-1, 1, steps) * strength
    if direction.span is None:
        return np.tile(REACH * t, (len(w), 1))
    low, high = direction.span
    ends = (low + high) / 2 + t * (high - low) / 2
    return ends[np.newaxis] - direction.position(w)[:, np.newaxis]


KIND = Kind(
    "images moved along directions in w; .gif and .webp files are animated",
    draw,
    count=4,
    seconds=0.06,
    flags={
        "directions": {
            "required": True,
            "type": Path,
            "metavar": "FILE",
            "help": "a .json file of alae directions, or a direction_N.npy of ALAE's authors. "
            "Required",
        },
        "names": names(
            "NAME,…", "the first four; in an animation, the first", "directions of FILE to draw"
        ),
        "strength": number(
            (-100.0, 100.0),
            1.0,
            "length of the movement; 1 covers the range of the data, more exaggerates it, a "
            "negative number reverses it",
        ),
        "levels": {
            "default": "all",
            "metavar": "RANGE",
            "help": "levels whose styles move: coarse, middle, fine, all, or numbers from 0 "
            "(4 px), such as 2 or 2-4. Default: all",
        },
        "steps": STEPS,
    },
)
