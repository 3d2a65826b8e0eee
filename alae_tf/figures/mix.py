"""The paper's table of style mixing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from alae_tf.autoencoder import Autoencoder
from alae_tf.figures import FigureError
from alae_tf.images import canvas
from alae_tf.latents import levels as levels_
from alae_tf.latents.codes import mix as mixed
from alae_tf.latents.codes import to_styles


def mix(
    model: Autoencoder,
    sources: np.ndarray,
    destinations: np.ndarray,
    ranges: Sequence[str] = (),
) -> np.ndarray:
    """Sources across, destinations down, once for each range of levels: there the destination has
    the source's styles.

    Args:
        model: a StyleALAE.
        sources: uint8 [M, H, W, C]; destinations: [N, H, W, C]. Each is shown as G(E(x)).
        ranges: as `alae_tf.latents.levels.parse` takes them; default: coarse, middle, fine.

    Reference: the paper's Fig. 9.
    """
    config = model.config
    if config.styles == 1:
        raise FigureError("mix: an MLP-ALAE has one style; it takes a StyleALAE")
    reached = model.level + 1
    ranges = ranges or list(levels_.named(reached)) or ["all"]
    rows = [levels_.rows(levels_.parse(text, reached)) for text in ranges]
    source, destination = (
        to_styles(model.encode(images), config.styles) for images in (sources, destinations)
    )
    cells = [[None, *model.decode(source)]]
    labels = [""]
    for text, part in zip(ranges, rows, strict=True):
        for i, image in enumerate(model.decode(destination)):
            codes = mixed(destination[i : i + 1], source, part)
            cells.append([image, *model.decode(codes)])
            labels.append(text if i == 0 else "")
    return canvas.table(cells, labels, ["", *["source"] * len(source)])
