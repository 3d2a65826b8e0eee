"""The networks F, G, E and D, their layers, and `alae.py`, which joins them."""

import os
import sys

from alae_tf.system.errors import AlaeError


def check_keras() -> None:
    """Imports Keras and checks its settings; changes nothing in the environment.

    Raises:
        AlaeError: Keras has another backend or default precision, or cannot be imported.
    """
    backend = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if backend != "tensorflow" and "keras" not in sys.modules:
        raise AlaeError(f"KERAS_BACKEND={backend}: must be tensorflow, or unset.")
    try:
        import keras
    except (ImportError, ValueError) as error:
        home = os.environ.get("KERAS_HOME") or os.path.join("~", ".keras")
        raise AlaeError(
            f"Keras cannot be imported ({error}). Check the backends in MPLBACKEND and "
            f"{os.path.join(home, 'keras.json')}."
        ) from error
    if keras.config.backend() != "tensorflow":
        raise AlaeError(
            f"keras.json: its backend is {keras.config.backend()}; set KERAS_BACKEND=tensorflow "
            "before Keras is imported."
        )
    if (policy := keras.config.dtype_policy().name) != "float32":
        raise AlaeError(
            f"keras: its default precision is {policy} (floatx in keras.json, or "
            "keras.config.set_dtype_policy); alae_tf needs float32."
        )


check_keras()
