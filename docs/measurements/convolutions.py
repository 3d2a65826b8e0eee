"""Compares the convolutions of alae_tf/networks/kernels.py with plain ones, on one core.

taskset -c 0 python docs/measurements/convolutions.py [BATCH]

Prints a row for each form, size and number of channels: milliseconds of the plain convolution and
of the one with fewer multiplications, forward and backward (first) and of a gradient penalty
(second, the derivative of a gradient), and the ratio of their sums. With ONEDNN_MAX_CPU_ISA=AVX2 in
the environment, oneDNN behaves as on a CPU without AVX-512.
"""

from __future__ import annotations

import sys

import numpy as np
import tensorflow as tf

from alae_tf.networks import kernels, ops
from alae_tf.system.timing import median_seconds

CHANNELS = {128: (16, 32, 64), 64: (32, 64, 128), 32: (64, 128, 256), 16: (128, 256), 8: (256,)}
# Form → channels out, as a multiple of the channels in.
FORMS = {"conv": 1, "downsample_conv": 2, "upsample_conv": 0.5}


def steps(convolution):
    """The functions (image, kernel) that are timed."""

    @tf.function
    def first(x, kernel):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = tf.reduce_sum(convolution(x, kernel) ** 2)
        return tape.gradient(y, [x, kernel])

    @tf.function
    def second(x, kernel):
        with tf.GradientTape() as outer:
            outer.watch(kernel)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = tf.reduce_sum(tf.sin(convolution(x, kernel)))
            penalty = tf.reduce_sum(inner.gradient(y, x) ** 2)
        return outer.gradient(penalty, kernel)

    return first, second


def milliseconds(step, x, kernel) -> float:
    """The median of 15 calls, after one that compiles."""
    call = lambda: tf.nest.map_structure(lambda y: y.numpy(), step(x, kernel))  # noqa: E731
    call()
    return 1e3 * median_seconds(call, 15)


def main(batch: str = "4") -> None:
    """Prints the table."""
    rng = np.random.default_rng(0)
    print("form, px, channels: first, second; plain / fewer; ratio")
    for form, factor in FORMS.items():
        for size, channels in CHANNELS.items():
            for count in channels:
                filters = min(256, int(factor * count))
                x = tf.constant(rng.standard_normal([int(batch), size, size, count]), tf.float32)
                kernel = tf.constant(0.1 * rng.standard_normal([3, 3, count, filters]), tf.float32)
                plain, fewer = (
                    [milliseconds(step, x, kernel) for step in steps(getattr(room, form))]
                    for room in (ops, kernels)
                )
                shown = ", ".join(f"{a:.1f} / {b:.1f}" for a, b in zip(plain, fewer, strict=True))
                ratio = sum(plain) / sum(fewer)
                print(f"{form} {size} {count}→{filters}: {shown}; {ratio:.2f}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
