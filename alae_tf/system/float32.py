"""True float32, which TensorFlow does not compute in by default.

On NVIDIA GPUs from Ampere on it rounds the factors of float32 matrix products and convolutions to
10 bits (TensorFloat-32): relative errors of 5e-4, which add up to another path length, other codes
and other pixels. Whether it does is a switch of the whole process.
"""

import contextlib
from collections.abc import Iterator


def use() -> None:
    """Computes in true float32 from now on."""
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(False)


@contextlib.contextmanager
def used() -> Iterator[None]:
    """Computes in true float32 while this lasts, as a training run does when it measures itself.
    Also a decorator."""
    import tensorflow as tf

    before = tf.config.experimental.tensor_float_32_execution_enabled()
    use()
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)
