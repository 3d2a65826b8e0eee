"""Codes as G gets them in use: to calibrate int8 decoders, and to compare decoders with Keras."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from alae_tf.latents.codes import move, to_styles
from alae_tf.latents.directions import Direction

if TYPE_CHECKING:
    from alae_tf.model.autoencoder import Autoencoder

SEED = 1  # of z; the comparison draws other codes
REACH = 3.0  # movement along a direction without a span, as in `figures traverse`


def codes(
    model: Autoencoder, pixels: np.ndarray, directions: Sequence[Direction], layers: bool
) -> np.ndarray:
    """Codes to calibrate with, w [3n, latent], or with `layers` styles [3n, styles, latent]. In
    turn: E's codes of n real images, uint8 [n, H, W, C]; random codes of F without truncation
    (psi = 1); and E's codes, edited (see `edited`)."""
    real, drawn = model.encode(pixels, layers), model.sample_w(len(pixels), SEED)
    drawn = to_styles(drawn, model.config.styles) if layers else drawn
    kinds = [real, drawn, edited(real, directions)]
    return np.stack(kinds, axis=1).reshape(-1, *real.shape[1:])


def edited(real: np.ndarray, directions: Sequence[Direction]) -> np.ndarray:
    """The codes, w [n, latent] or styles [n, styles, latent], each moved along one of the
    directions to an end of its span; without directions, half of the way towards the code before
    it, or a quarter of the way away from it."""
    if not directions:
        amount = np.resize([0.5, -0.25], len(real)).reshape(-1, *[1] * (real.ndim - 1))
        return real + amount.astype(np.float32) * (np.roll(real, 1, axis=0) - real)
    moved = []
    for i, code in enumerate(real):
        each, end = directions[i // 2 % len(directions)], i % 2
        at = float(np.mean(each.position(code)))
        amount = each.span[end] - at if each.span else (-REACH, REACH)[end]
        moved.append(move(code[np.newaxis], each.vector, amount)[0])
    return np.stack(moved)
