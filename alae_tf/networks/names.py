"""Variables by name: the names of the code are the names in checkpoints."""

from __future__ import annotations

from collections.abc import Iterator

import keras


def named_variables(layer: keras.Layer, prefix: str) -> Iterator[tuple[str, keras.Variable]]:
    """The variables of a layer and its sublayers, named by their attributes, in a fixed order."""
    for name, value in vars(layer).items():
        if name.startswith("_"):
            continue
        parts = enumerate(value) if isinstance(value, list) else [(None, value)]
        for index, part in parts:
            path = f"{prefix}/{name}" if index is None else f"{prefix}/{name}.{index}"
            if isinstance(part, keras.Variable):
                yield path, part
            elif isinstance(part, keras.Layer):
                yield from named_variables(part, path)
