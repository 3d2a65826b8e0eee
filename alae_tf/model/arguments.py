"""Checks of what the Python API is given."""

from __future__ import annotations

import numpy as np


def array(name: str, values) -> np.ndarray:
    """An argument as an array of whatever type.

    Raises:
        ValueError: its rows are of several lengths.
    """
    try:
        return np.asarray(values)
    except ValueError:
        raise ValueError(f"{name}: got rows of several lengths, expected one array") from None


def numbers(name: str, values) -> np.ndarray:
    """An argument as float32; what is too large for it becomes infinite.

    Raises:
        ValueError: it holds something else than real numbers.
    """
    values = array(name, values)
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
