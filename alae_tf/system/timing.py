"""How long calls take, and how fast this machine multiplies. TensorFlow only when asked."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def median_seconds(call: Callable[[], object], times: int = 5) -> float:
    """Median wall time of a call that returns when its work is done.

    Args:
        call: what is timed; what it returns is dropped.
        times: how often it is called, 1 or more.
    """

    def once() -> float:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    return statistics.median(once() for _ in range(times))


def matmul_gflops(size: int = 3000) -> float:
    """Rate of a float32 matrix product in TensorFlow, in GFLOP/s, on this process' threads.

    Against it other figures are to be read, since machines differ and share their cores.

    Args:
        size: side of the square matrices.
    """
    import tensorflow as tf

    matrix = tf.random.stateless_normal([size, size], (0, 0))
    multiply = tf.function(lambda: tf.reduce_sum(matrix @ matrix))
    multiply().numpy()
    return 2e-9 * size**3 / median_seconds(lambda: multiply().numpy())
