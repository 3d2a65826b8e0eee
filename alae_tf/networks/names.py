"""Variables by name: names in checkpoints are the names in the code."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import keras
import numpy as np


def named_variables(layer: keras.Layer, prefix: str) -> Iterator[tuple[str, keras.Variable]]:
    """The variables of a layer and its sublayers, named by their attributes, in a fixed order."""
    for path, part in _parts(layer, prefix):
        if isinstance(part, keras.Variable):
            yield path, part


def sublayers(layer: keras.Layer) -> Iterator[keras.Layer]:
    """All layers within a layer."""
    return (part for _, part in _parts(layer, "") if isinstance(part, keras.Layer))


def _parts(layer: keras.Layer, prefix: str) -> Iterator[tuple[str, object]]:
    for name, value in vars(layer).items():
        if name.startswith("_"):
            continue
        parts = enumerate(value) if isinstance(value, list) else [(None, value)]
        for index, part in parts:
            path = f"{prefix}/{name}" if index is None else f"{prefix}/{name}.{index}"
            if isinstance(part, keras.Variable | keras.Layer):
                yield path, part
            if isinstance(part, keras.Layer):
                yield from _parts(part, path)


def checksum(layer: keras.Layer, blend: float | None = None) -> str:
    """The SHA-256 of a model's weights and their names, as hexadecimal digits.

    Args:
        layer: the ALAE.
        blend: None gives the checksum that direction files contain. A number is hashed too, and
            gives the checksum that manifests of exports contain. (The two differ so that older
            files stay valid.)
    """
    variables = dict(named_variables(layer, "alae"))
    digest = hashlib.sha256(b"" if blend is None else repr(float(blend)).encode())
    for name in sorted(variables) if blend is None else variables:
        value = np.asarray(variables[name], np.float32)
        head = f"{name} {value.shape} " if blend is None else name
        digest.update(head.encode() + value.tobytes())
    return digest.hexdigest()
