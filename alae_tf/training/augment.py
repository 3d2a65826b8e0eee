"""Augmentation of the images that the discriminator sees, `--augment`, against overfitting.

Each operation is applied with probability p, to real and generated images alike. While p is well
below 1, G does not learn to draw augmented images: the operations do not leak.

Reference: Karras et al., Training Generative Adversarial Networks with Limited Data, NeurIPS 2020
(StyleGAN2-ADA). The operations, their strengths and their order are those of that paper, but images
are sampled bilinearly, without the wavelet filter. Not in the ALAE paper.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from alae_tf.config import Config

EVERY = 4  # iterations between two changes of p


@dataclasses.dataclass(frozen=True)
class Operation:
    """An operation, as a matrix for homogeneous coordinates."""

    name: str
    # (a, b uniform in (0, 1) [N], side of the images) → [N, n, n]. Geometry: n = 3, from positions
    # (x, y) in the new image, relative to its centre, to positions in the old image. Colour: n = 4,
    # from old to new RGB in [−1, 1].
    matrix: Callable[[tf.Tensor, tf.Tensor, float], tf.Tensor]
    chance: Callable[[tf.Tensor], tf.Tensor] = tf.identity  # p → probability of this operation


def _normal(u: tf.Tensor) -> tf.Tensor:
    return tf.math.ndtri(tf.clip_by_value(u, 1e-6, 1 - 1e-6))


def _matrices(*entries: tf.Tensor | float, like: tf.Tensor) -> tf.Tensor:
    """[N, 3, 3] from the upper two rows, whose entries are numbers or [N]."""
    full = [tf.zeros_like(like) + entry for entry in (*entries, 0, 0, 1)]
    return tf.reshape(tf.stack(full, axis=-1), [-1, 3, 3])


def _scale(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    return _matrices(x, 0, 0, 0, y, 0, like=x)


def _shift(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    return _matrices(1, 0, x, 0, 1, y, like=x)


def _rotation(cos: tf.Tensor, sin: tf.Tensor) -> tf.Tensor:
    return _matrices(cos, -sin, 0, sin, cos, 0, like=cos)


def _quarter_turns(a: tf.Tensor, b: tf.Tensor, side: float) -> tf.Tensor:
    angle = tf.floor(4 * a) * (math.pi / 2)
    return _rotation(tf.round(tf.cos(angle)), tf.round(tf.sin(angle)))


def _turn(a: tf.Tensor, b: tf.Tensor, side: float) -> tf.Tensor:
    angle = (2 * a - 1) * math.pi
    return _rotation(tf.cos(angle), tf.sin(angle))


def _either_rotation(p: tf.Tensor) -> tf.Tensor:
    """The probability of each of the two rotations (before and after stretching): at least one of
    them is then applied with probability p."""
    return 1 - tf.sqrt(1 - p)


ONE = np.eye(4, dtype=np.float32)
RGB = np.diag([1, 1, 1, 0]).astype(np.float32)
WHITE = np.outer([1, 1, 1, 0], [0, 0, 0, 1]).astype(np.float32)  # adds to red, green and blue
GREY = np.outer([1, 1, 1, 0], [1, 1, 1, 0]).astype(np.float32) / 3  # projects on the axis of greys
COLOUR = RGB - GREY  # projects on the plane of colours


def _along(a: tf.Tensor) -> tf.Tensor:
    return tf.reshape(a, [-1, 1, 1])


def _hue(a: tf.Tensor, b: tf.Tensor, side: float) -> tf.Tensor:
    """Rotates colours around the axis of greys (Rodrigues' formula)."""
    angle = _along((2 * a - 1) * math.pi)
    cross = np.zeros((4, 4), np.float32)
    cross[:3, :3] = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    return ONE + tf.sin(angle) * cross + (tf.cos(angle) - 1) * COLOUR


OPERATIONS = {
    "geometry": [
        Operation("mirror", lambda a, b, side: _scale(1 - 2 * tf.floor(2 * a), tf.ones_like(a))),
        Operation("quarter_turns", _quarter_turns),
        Operation(
            "whole_shift",
            lambda a, b, side: _shift(*(tf.round((2 * u - 1) * 0.125 * side) for u in (a, b))),
        ),
        Operation("size", lambda a, b, side: _scale(*[2 ** (0.2 * _normal(a))] * 2)),
        Operation("turn_before", _turn, _either_rotation),
        Operation(
            "stretch",
            lambda a, b, side: _scale(2 ** (0.2 * _normal(a)), 1 / 2 ** (0.2 * _normal(a))),
        ),
        Operation("turn_after", _turn, _either_rotation),
        Operation("shift", lambda a, b, side: _shift(*(0.125 * side * _normal(u) for u in (a, b)))),
    ],
    "colour": [
        Operation("brightness", lambda a, b, side: ONE + WHITE * _along(0.2 * _normal(a))),
        Operation("contrast", lambda a, b, side: ONE - RGB + RGB * _along(2 ** (0.5 * _normal(a)))),
        Operation("inverted_luma", lambda a, b, side: ONE - 2 * GREY * _along(tf.floor(2 * a))),
        Operation("hue", _hue),
        Operation("saturation", lambda a, b, side: ONE + (_along(2 ** _normal(a)) - 1) * COLOUR),
    ],
}
NUMBERS = 3 * sum(map(len, OPERATIONS.values()))  # uniform numbers for an image


class Augmentation:
    """Augments images; with `--augment=ada`, adapts the probability.

    Args:
        config: its settings `augment…` are used.

    Call:
        x: float32 [N, H, H, 1 or 3] in [−1, 1].
        numbers: float32 [N, NUMBERS], uniform in [0, 1).
        Returns augmented images of the same shape; those with no operation are equal to the bit.

    Attributes:
        p: float32 scalar variable, the probability of each operation.
        signs, counted: float32 scalar variables: sum of the mean sign of D's logits of real images,
            and number of iterations, since p last changed.
    """

    def __init__(self, config: Config):
        self.config = config
        kwargs = dict(trainable=False, autocast=False, aggregation="only_first_replica")
        p = config.augment_p if config.augment == "fixed" else 0.0
        self.p = keras.Variable(p, name="augment_p", **kwargs)
        self.signs = keras.Variable(0.0, name="augment_signs", **kwargs)
        self.counted = keras.Variable(0.0, name="augment_counted", **kwargs)

    def __call__(self, x: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
        p = tf.convert_to_tensor(self.p)
        parts = tf.split(numbers, [3 * len(group) for group in OPERATIONS.values()], axis=1)
        for (group, operations), own in zip(OPERATIONS.items(), parts, strict=True):
            if group not in self.config.augment_operations:
                continue
            matrices = []  # the identity for images to which an operation is not applied
            for operation, u in zip(operations, tf.split(own, len(operations), 1), strict=True):
                chance, a, b = tf.unstack(u, axis=1)
                matrix = operation.matrix(a, b, x.shape[1])
                applied = _along(chance < operation.chance(p))
                matrices.append(tf.where(applied, matrix, tf.eye(matrix.shape[-1])))
            if group == "geometry":
                new = warp(x, functools.reduce(tf.matmul, matrices))
            else:
                new = recolour(x, functools.reduce(tf.matmul, matrices[::-1]))
            changed = tf.reduce_any(tf.stack(matrices) != tf.eye(matrices[0].shape[-1]), [0, 2, 3])
            x = tf.where(tf.reshape(changed, [-1, 1, 1, 1]), new, x)
        return x

    def adapt(self, sign: tf.Tensor, batch: int) -> None:
        """Moves p towards the value at which the mean sign of D's logits of real images, `sign`
        over the global batch, is `--augment_target`: 1 if D takes all of them for real, 0 if
        half."""
        config, due = self.config, self.counted + 1.0 >= EVERY
        # Float16 skips an update whose logits overflow.
        sign = tf.where(tf.math.is_nan(sign), config.augment_target, sign)
        step = EVERY * batch / config.augment_images
        moved = self.p + step * tf.sign((self.signs + sign) / EVERY - config.augment_target)
        self.p.assign(tf.where(due, tf.clip_by_value(moved, 0.0, 1.0), self.p))
        self.signs.assign(tf.where(due, 0.0, self.signs + sign))
        self.counted.assign(tf.where(due, 0.0, self.counted + 1.0))


def warp(x: tf.Tensor, matrices: tf.Tensor) -> tf.Tensor:
    """Samples images bilinearly at other positions; images are mirrored beyond their borders.

    Written with gathers, whose derivatives of any order are exact; those of TensorFlow's
    ImageProjectiveTransform are approximations, which R1 cannot use.

    Args:
        x: [N, H, H, C].
        matrices: [N, 3, 3], from (x, y, 1) in the result to (x, y, 1) in x, in pixels from the
            centre.
    """
    side, channels = x.shape[1], x.shape[-1]
    centre = (side - 1) / 2
    row, column = np.mgrid[:side, :side].astype(np.float32) - centre
    places = np.stack([column.ravel(), row.ravel(), np.ones(side * side, np.float32)])
    found = tf.reduce_sum(matrices[:, :2, :, tf.newaxis] * places, axis=2) + centre  # [N, 2, H·H]
    found = (side - 1) - tf.abs(tf.math.floormod(found, 2 * side - 2) - (side - 1))
    low = tf.floor(found)
    share = (found - low)[..., tf.newaxis]
    low = tf.cast(low, tf.int32)
    high = tf.minimum(low + 1, side - 1)
    flat = tf.reshape(x, [-1, side * side, channels])

    def pixels(column: tf.Tensor, row: tf.Tensor) -> tf.Tensor:
        return tf.gather(flat, row * side + column, batch_dims=1)

    above, below = (
        (1 - share[:, 0]) * pixels(low[:, 0], row) + share[:, 0] * pixels(high[:, 0], row)
        for row in (low[:, 1], high[:, 1])
    )
    return tf.reshape((1 - share[:, 1]) * above + share[:, 1] * below, tf.shape(x))


def recolour(x: tf.Tensor, matrices: tf.Tensor) -> tf.Tensor:
    """Applies matrices [N, 4, 4] to (red, green, blue, 1); grey images stay grey."""
    channels = x.shape[-1]
    x = tf.repeat(x, 3, axis=-1) if channels == 1 else x
    matrices = matrices[:, tf.newaxis, tf.newaxis]
    x = tf.reduce_sum(matrices[..., :3, :3] * x[..., tf.newaxis, :], -1) + matrices[..., :3, 3]
    return tf.reduce_mean(x, axis=-1, keepdims=True) if channels == 1 else x
