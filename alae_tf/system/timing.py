"""Measures how long calls take and how fast this machine multiplies matrices."""

import statistics
import time
import timeit
from collections.abc import Callable


def median_seconds(call: Callable[[], object], times: int = 5) -> float:
    """Median wall time of a function, called `times` (at least once)."""
    seconds = timeit.repeat(call, timer=time.perf_counter, number=1, repeat=times)
    return statistics.median(seconds)


def matmul_gflops(size: int = 3000) -> float:
    """Rate of a float32 product of two [size, size] matrices in TensorFlow, in GFLOP/s: a yardstick
    for other timings, because machines differ and share their cores."""
    import tensorflow as tf

    matrix = tf.random.stateless_normal([size, size], (0, 0))
    multiply = tf.function(lambda: tf.reduce_sum(matrix @ matrix))
    multiply().numpy()
    return 2e-9 * size**3 / median_seconds(lambda: multiply().numpy())
