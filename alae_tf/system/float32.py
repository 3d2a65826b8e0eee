"""True float32 arithmetic, a setting of the process.

On NVIDIA GPUs from Ampere on, TensorFlow rounds the factors of float32 matrix products and
convolutions to 10 bits (TensorFloat-32). The relative error of 5e-4 accumulates and changes path
lengths, codes and pixels.
"""

import contextlib
from collections.abc import Iterator


def use() -> None:
    """Switches to true float32."""
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(False)


@contextlib.contextmanager
def used() -> Iterator[None]:
    """Context manager and decorator: true float32 within, for example for measurements during
    training."""
    import tensorflow as tf

    before = tf.config.experimental.tensor_float_32_execution_enabled()
    use()
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)
