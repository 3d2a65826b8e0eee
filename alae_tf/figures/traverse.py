"""Images moved along named directions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from alae_tf.autoencoder import Autoencoder
from alae_tf.images import canvas
from alae_tf.latents import levels as levels_
from alae_tf.latents.codes import move, to_styles
from alae_tf.latents.directions import Direction

REACH = 3.0  # of unit length, where a direction tells no span


def amounts(direction: Direction, w: np.ndarray, steps: int, strength: float) -> np.ndarray:
    """How far each code goes in each step [N, steps]: from one end of the span to the other.

    The span is where the data lie; `strength` stretches it about its middle. Without a span the
    codes go as far in both directions from where they are.
    """
    t = np.linspace(-1, 1, steps) * strength
    if direction.span is None:
        return np.tile(REACH * t, (len(w), 1))
    low, high = direction.span
    ends = (low + high) / 2 + t * (high - low) / 2
    return ends[np.newaxis] - direction.position(w)[:, np.newaxis]


def traverse(
    model: Autoencoder,
    images: np.ndarray,
    directions: Sequence[Direction],
    steps: int = 7,
    strength: float = 1.0,
    ranges: str = "all",
) -> np.ndarray:
    """A row for each image and direction: x, then G of E(x) moved along it.

    Args:
        images: uint8 [N, H, W, C].
        directions: one or more.
        steps: images of each row.
        strength: of the movement; 1: over the span of the data.
        ranges: of levels that move, as `alae_tf.latents.levels.parse` takes it.
    """
    rows = levels_.rows(levels_.parse(ranges, model.level + 1))
    w = model.encode(images)
    styles = to_styles(w, model.config.styles)
    cells, labels = [], []
    for direction in directions:
        far = amounts(direction, w, steps, strength)
        for i, image in enumerate(images):
            codes = np.repeat(styles[i : i + 1], steps, axis=0)
            moved = move(codes, direction.vector, far[i], rows)
            cells.append([image, *model.decode(moved)])
            labels.append(direction.name if i == 0 else "")
    return canvas.table(cells, labels, ["x", "−", *[""] * (steps - 2), "+"])


def animation(
    model: Autoencoder,
    images: np.ndarray,
    direction: Direction,
    steps: int,
    strength: float = 1.0,
    ranges: str = "all",
) -> list[np.ndarray]:
    """Frames in which all images move along a direction, there and back."""
    rows = levels_.rows(levels_.parse(ranges, model.level + 1))
    w = model.encode(images)
    styles, far = to_styles(w, model.config.styles), amounts(direction, w, steps, strength)
    moved = [model.decode(move(styles, direction.vector, far[:, k], rows)) for k in range(steps)]
    frames = [canvas.table([list(each)]) for each in moved]
    return [*frames, *frames[-2:0:-1]]
