"""Checks of what the Python API is given."""

from __future__ import annotations

import numpy as np


def numbers(name: str, values) -> np.ndarray:
    """An argument as float32; what is too large for it becomes infinite.

    Raises:
        ValueError: it holds something else than real numbers.
    """
    try:
        values = np.asarray(values)
    except ValueError:  # rows of several lengths
        raise ValueError(f"{name}: got rows of several lengths, expected one array") from None
    if values.dtype.kind not in "fiu":
        raise ValueError(f"{name}: got {values.dtype}, expected real numbers")
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def whole(name: str, value, low: int, high: int) -> int:
    """An argument as a whole number from low to high.

    Raises:
        ValueError: it is none.
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, int | np.integer)
        or not low <= value <= high
    ):
        raise ValueError(f"{name}: got {value!r}, expected a whole number from {low} to {high:,}")
    return int(value)
