"""Interpolation and mixing of codes, and movement along directions."""

import numpy as np

from alae_tf.latents import LatentError


def lerp(a: np.ndarray, b: np.ndarray, t: np.ndarray | float) -> np.ndarray:
    """Codes on the straight path between codes w of one shape [...]: a + t·(b − a).

    A number t gives a code [...]; an array t [n] gives codes [n, ...].
    """
    a, b, t = (np.asarray(each, np.float32) for each in (a, b, t))
    return a + np.multiply.outer(t, b - a)


def slerp(a: np.ndarray, b: np.ndarray, t: np.ndarray | float) -> np.ndarray:
    """Codes on the arc between codes z, at constant angular speed. (F ignores the length of z.)

    The length changes linearly from that of a to that of b. Opposite vectors, which no single arc
    connects, are joined by a straight line. For arguments and result, see `lerp`; vectors lie on
    the last axis.

    Reference: Shoemake, Animating rotation with quaternion curves, SIGGRAPH 1985.
    """
    a, b, t = (np.asarray(each, np.float64) for each in (a, b, t))
    length_a, length_b = (np.linalg.norm(each, axis=-1, keepdims=True) for each in (a, b))
    unit_a, unit_b = a / np.maximum(length_a, 1e-12), b / np.maximum(length_b, 1e-12)
    angle = np.arccos(np.clip(np.sum(unit_a * unit_b, axis=-1, keepdims=True), -1, 1))
    t = t.reshape(*t.shape, *[1] * a.ndim) if t.ndim else t
    sine = np.sin(angle)
    safe = np.where(sine > 1e-4, sine, 1)
    turned = (np.sin((1 - t) * angle) * unit_a + np.sin(t * angle) * unit_b) / safe
    curved = turned * (length_a + t * (length_b - length_a))
    return np.where(sine > 1e-4, curved, a + t * (b - a)).astype(np.float32)


def to_styles(codes: np.ndarray, styles: int) -> np.ndarray:
    """w [N, latent] → styles [N, styles, latent], all equal; returns styles unchanged."""
    codes = np.asarray(codes, np.float32)
    if codes.ndim == 3:
        return codes
    return np.repeat(codes[:, np.newaxis], styles, axis=1)


def mix(styles: np.ndarray, other: np.ndarray, rows: slice) -> np.ndarray:
    """Style mixing: `styles` [N, styles, latent] with some rows (see `levels.rows`) replaced by
    those of `other`; either may have N = 1.

    Reference: the paper's Fig. 9; Karras et al., StyleGAN, CVPR 2019, section 3.1.
    """
    styles, other = np.broadcast_arrays(styles, other)
    mixed = np.array(styles)
    mixed[:, rows] = other[:, rows]
    return mixed


def move(
    styles: np.ndarray, direction: np.ndarray, amount: np.ndarray | float, rows: slice = slice(None)
) -> np.ndarray:
    """Codes moved along a direction [latent]: styles + amount·direction.

    Args:
        styles: w [N, latent] or styles [N, styles, latent].
        amount: a number, or an array [N] with a number for each code.
        rows: the styles that move; ignored for w, which stands for all styles.

    Raises:
        LatentError: the direction has another size than w.
    """
    styles, direction = np.asarray(styles, np.float32), np.asarray(direction, np.float32)
    if direction.shape != styles.shape[-1:]:
        raise LatentError(
            f"direction: got shape {list(direction.shape)}, expected [{styles.shape[-1]}], the "
            "length of w"
        )
    moved = np.array(styles)
    step = np.asarray(amount, np.float32)[..., np.newaxis] * direction
    if styles.ndim == 2:
        return moved + step
    moved[:, rows] += step[..., np.newaxis, :] if step.ndim == 2 else step
    return moved
