"""Which convolutions of a training step this CPU computes faster with fewer multiplications.

Saving multiplications costs passes through memory (`alae_tf.networks.kernels`). Convolutions that
resample gain from 64 channels on, others from 128 (docs/measurements/speed.md). At 64 channels, it
depends on the CPU: in one measurement, Winograd's form was a third faster than the plain one with
AVX2, and a fifth slower with AVX-512. Each machine therefore measures once which form is faster,
and keeps the answer in the cache, because the two differ in rounding and a run must be
reproducible.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import timeit
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from alae_tf.features import weights
from alae_tf.networks import kernels, ops
from alae_tf.networks.layers import EqualizedConv2D
from alae_tf.networks.names import sublayers

SOMETIMES, ALWAYS = 64, 128  # channels
SHAPE = (4, 32, 32, SOMETIMES)  # of the images that are measured


def speed_up(network: keras.Layer) -> None:
    """Lets the network's layers use fewer multiplications where that is faster on this CPU."""
    for layer in sublayers(network):
        if isinstance(layer, EqualizedConv2D):
            channels = min(layer.inputs, layer.filters)
            sure = channels >= (SOMETIMES if layer.sampling else ALWAYS)
            layer.winograd = sure or channels >= SOMETIMES and winograd_pays()


@functools.cache
def winograd_pays() -> bool:
    """Whether Winograd's form of a convolution of `SOMETIMES` channels is faster than the plain
    one, as the cache says, or as measured now."""
    path = weights.cache() / f"winograd-{_key()}.json"
    if (kept := weights.kept(path)) is None:
        kept = json.dumps(measure()).encode()
        weights.keep(path, kept)
    found = json.loads(kept)
    return found["winograd_ms"] < found["plain_ms"]


def measure(rounds: int = 9) -> dict[str, float]:
    """Median milliseconds of both forms, forward and backward, measured in turn."""
    x, kernel = tf.random.stateless_normal(SHAPE, (0, 0)), tf.zeros([3, 3, *2 * SHAPE[-1:]])

    def step(convolution: Callable) -> Callable:
        @tf.function(autograph=False)
        def gradients():
            with tf.GradientTape() as tape:
                tape.watch([x, kernel])
                y = convolution(x, kernel)
            return tape.gradient(y, [x, kernel], y)

        return lambda: gradients()[1].numpy()

    steps = step(ops.conv), step(kernels.conv)
    seconds = [[timeit.timeit(each, number=1) for each in steps] for _ in range(rounds)]
    plain, winograd = np.median(seconds, axis=0)
    return {"plain_ms": 1e3 * plain, "winograd_ms": 1e3 * winograd}


def _key() -> str:
    """Names what the speed depends on: the CPU, the instructions that oneDNN may use, and the
    version of TensorFlow."""
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8", errors="replace") if info.exists() else ""
    lines = text.splitlines()
    model = next((line for line in lines if line.startswith("model name")), platform.processor())
    parts = (model, os.cpu_count(), os.environ.get("ONEDNN_MAX_CPU_ISA"), tf.__version__)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
