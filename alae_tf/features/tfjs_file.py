"""Reads the weights of a TensorFlow.js model: a manifest in JSON and one file of numbers."""

import math
from pathlib import Path

import numpy as np

from alae_tf.features.weights import EvaluationError
from alae_tf.system import schema

LARGEST = 2**28  # bytes of the file of numbers
MANIFEST = [
    {
        "paths": [str],
        "weights": [
            {
                "name": str,
                "shape": [int],
                "dtype": str,
                "quantization?": {"dtype": str, "scale": float, "min": float},
            }
        ],
    }
]


def read_tfjs(manifest: Path, numbers: Path) -> dict[str, np.ndarray]:
    """The arrays of a model by name, float32.

    Quantised arrays are stored as uint8: the value is number · scale + min.

    Args:
        manifest: lists the arrays in the order in which they are stored.
        numbers: the file of the numbers, float32 (little-endian) or uint8.

    Raises:
        EvaluationError: a file is missing, too large or damaged, or the manifest describes another
            file; the message names the file and the array.
    """
    try:
        groups = schema.load(manifest, MANIFEST)
    except (ValueError, OSError) as error:
        raise EvaluationError(f"{manifest}: cannot be read ({error}).") from None
    if len(groups) != 1 or groups[0]["paths"] != [numbers.name]:
        raise EvaluationError(f"{manifest}: must describe {numbers.name} alone.")
    try:
        size = numbers.stat().st_size
        if size > LARGEST:
            raise EvaluationError(f"{numbers}: {size:,} bytes; at most {LARGEST:,} are read.")
        data = numbers.read_bytes()
    except OSError as error:
        raise EvaluationError(f"{numbers}: cannot be read ({error.strerror}).") from None
    arrays: dict[str, np.ndarray] = {}
    start = 0
    for entry in groups[0]["weights"]:
        name, shape, quantized = entry["name"], entry["shape"], entry.get("quantization")
        stored = "float32" if quantized is None else quantized["dtype"]
        if name in arrays:
            raise EvaluationError(f"{manifest}: {name} occurs twice.")
        if entry["dtype"] != "float32" or stored not in ("float32", "uint8"):
            raise EvaluationError(
                f"{manifest}: {name} is {entry['dtype']}, stored as {stored}; expected float32, "
                "stored as float32 or uint8."
            )
        if not all(0 < length <= LARGEST for length in shape):
            raise EvaluationError(f"{manifest}: {name} has the shape {shape}.")
        count = math.prod(shape)
        end = start + count * (4 if stored == "float32" else 1)
        if end > len(data):
            raise EvaluationError(f"{numbers}: ends within {name}, after {len(data):,} bytes.")
        values = np.frombuffer(data[start:end], "<f4" if stored == "float32" else "u1")
        if quantized is not None:
            values = values * float(quantized["scale"]) + float(quantized["min"])
        arrays[name] = values.astype(np.float32).reshape(shape)
        start = end
    if start != len(data):
        raise EvaluationError(f"{numbers}: has {len(data) - start:,} bytes too many.")
    return arrays
