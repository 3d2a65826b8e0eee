"""Checks of the arguments of the Python API."""

import numpy as np


def array(name: str, values) -> np.ndarray:
    """An argument as an array of any type; raises ValueError if its rows differ in length."""
    try:
        return np.asarray(values)
    except ValueError:
        raise ValueError(f"{name}: got rows of several lengths, expected one array") from None


def numbers(name: str, values, *shapes: tuple[int | str, ...]) -> np.ndarray:
    """An argument as finite float32 of one of `shapes`, in which "N" stands for any size.

    Raises ValueError if it is something else, or not finite in float32.
    """
    values = array(name, values)
    if values.dtype.kind not in "fiu":
        raise ValueError(f"{name}: got {values.dtype}, expected real numbers")
    if not any(_fits(values.shape, shape) for shape in shapes):
        expected = " or ".join(f"[{', '.join(map(str, shape))}]" for shape in shapes)
        raise ValueError(f"{name}: got shape {list(values.shape)}, expected {expected}")
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: got NaN, infinity or numbers too large for float32")
    return values


def whole(name: str, value, low: int, high: int) -> int:
    """An argument as an integer from low to high; raises ValueError if it is not one."""
    kind = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not (kind and low <= value <= high):
        raise ValueError(f"{name}: got {value!r}, expected a whole number from {low} to {high:,}")
    return int(value)


def _fits(shape: tuple[int, ...], expected: tuple[int | str, ...]) -> bool:
    return len(shape) == len(expected) and all(
        isinstance(size, str) or size == given for given, size in zip(shape, expected, strict=True)
    )
