"""Settings: dataclass fields with help, a text form and valid values."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Collection

from alae_tf.system.errors import ConfigError


def setting(
    group: str,
    default: object,
    help: str,
    within: str = "",
    choices: Collection[str] = (),
) -> typing.Any:
    """A dataclass field that is also a flag.

    Args:
        group: one of `alae_tf.config.GROUPS`.
        default: its default; a tuple for a setting with one value per level.
        help: the flag's help.
        within: the interval of valid numbers; "(0, 1e9]" means more than 0, at most 10^9.
        choices: the valid values; empty for any.
    """
    metadata = {"group": group, "help": help, "within": within, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


def is_list(field: dataclasses.Field) -> bool:
    """Whether a field holds several values."""
    return isinstance(field.default, tuple)


def to_text(value: object) -> str:
    """A value as the text of a flag."""
    if isinstance(value, tuple):
        return ",".join(to_text(entry) for entry in value)
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)


def from_text(field: dataclasses.Field, kind: type, text: str) -> typing.Any:
    """Parses a value of type `kind`, or a tuple of such values.

    Raises:
        ConfigError: the text does not parse.
    """
    try:
        if is_list(field):
            return tuple(kind(entry) for entry in text.split(","))
        if kind is bool:
            return {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}[
                text.strip().lower()
            ]
        return kind(text)
    except (ValueError, KeyError):
        wanted = {int: "a whole number", float: "a number", bool: "true or false"}[kind]
        if is_list(field):
            wanted = f"{wanted}, or several separated by commas"
        raise ConfigError(f"--{field.name}={text}: must be {wanted}.") from None


def check(field: dataclasses.Field, kind: type, value: object) -> None:
    """Raises ConfigError if a value has the wrong type, is out of range or not a choice."""
    entries = value if is_list(field) else (value,)
    if not isinstance(entries, tuple):
        raise ConfigError(f"--{field.name}={value!r}: must be a tuple of {kind.__name__}.")
    flag = f"--{field.name}={to_text(value)}"
    within, choices = field.metadata["within"], field.metadata["choices"]
    for entry in entries:
        fits = isinstance(entry, int | float) if kind is float else isinstance(entry, kind)
        if not fits or (isinstance(entry, bool) and kind is not bool):
            raise ConfigError(f"{flag}: must be of type {kind.__name__}.")
        if isinstance(entry, float) and not math.isfinite(entry):
            raise ConfigError(f"{flag}: must be a finite number.")
        if within and not _inside(entry, within):
            raise ConfigError(f"{flag}: must be {_in_words(within)}.")
    if choices and value not in choices:
        raise ConfigError(f"{flag}: must be one of {', '.join(choices)}.")


def _ends(within: str) -> tuple[float, float]:
    low, high = within[1:-1].split(",")
    return float(low), float(high)


def _inside(number: typing.Any, within: str) -> bool:
    low, high = _ends(within)
    above = number >= low if within[0] == "[" else number > low
    return above and (number <= high if within[-1] == "]" else number < high)


def _in_words(within: str) -> str:
    low, high = (f"{end:,.0f}" if end < 1e15 else f"{end:g}" for end in _ends(within))
    if within[0] == "[" and within[-1] == "]":
        return f"{low} to {high}"
    least = f"{low} or more" if within[0] == "[" else f"more than {low}"
    return f"{least}, and {'at most' if within[-1] == ']' else 'less than'} {high}"
