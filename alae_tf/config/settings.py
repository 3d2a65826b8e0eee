"""Settings: dataclass fields that are also flags, with help, a text form and valid values."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Collection

from alae_tf.system.errors import ConfigError

IN_WORDS = {int: "a whole number", float: "a number", bool: "true or false"}
TRUE, FALSE = ("true", "t", "1"), ("false", "f", "0")


def setting(
    group: str, default: object, help: str, within: str = "", choices: Collection[str] = ()
) -> typing.Any:
    """A dataclass field that is also a flag.

    Args:
        group: one of `alae_tf.config.GROUPS`.
        default: sets the type; a tuple for a setting with one value per level.
        help: the flag's help.
        within: the interval of valid numbers; "(0, 1e9]" means more than 0, at most 10^9.
        choices: the valid values; empty for any.
    """
    metadata = {"group": group, "help": help, "within": within, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


def kind(field: dataclasses.Field) -> type:
    """The type of a field's value, or of the entries of a tuple field."""
    return type(field.default[0] if isinstance(field.default, tuple) else field.default)


def to_text(value: object) -> str:
    """A value as the text of a flag."""
    if isinstance(value, tuple):
        return ",".join(map(to_text, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def from_text(field: dataclasses.Field, text: str) -> typing.Any:
    """Parses a value; raises ConfigError if the text is not of the field's type."""
    try:
        if isinstance(field.default, tuple):
            return tuple(map(kind(field), text.split(",")))
        if kind(field) is bool:
            return (*TRUE, *FALSE).index(text.strip().lower()) < len(TRUE)
        return kind(field)(text)
    except ValueError:
        several = ", or several separated by commas" * isinstance(field.default, tuple)
        wanted = IN_WORDS[kind(field)] + several
        raise ConfigError(f"--{field.name}={text}: must be {wanted}.") from None


def check(field: dataclasses.Field, value: object) -> None:
    """Raises ConfigError if a value has the wrong type, is out of range or not a choice."""
    flag, wanted = f"--{field.name}={to_text(value)}", kind(field)
    within, choices = field.metadata["within"], field.metadata["choices"]
    entries = value if isinstance(field.default, tuple) else (value,)
    if not isinstance(entries, tuple):
        raise ConfigError(f"{flag}: must be a tuple of {wanted.__name__}.")
    for entry in entries:
        known = (int, float) if wanted is float else wanted  # NumPy's float64 is a float
        if not isinstance(entry, known) or isinstance(entry, bool) != (wanted is bool):
            raise ConfigError(f"{flag}: must be of type {wanted.__name__}.")
        if isinstance(entry, float) and not math.isfinite(entry):
            raise ConfigError(f"{flag}: must be a finite number.")
        if within and not _inside(entry, within):
            raise ConfigError(f"{flag}: must be in {within}.")
    if choices and value not in choices:
        raise ConfigError(f"{flag}: must be one of {', '.join(choices)}.")


def _inside(number: typing.Any, within: str) -> bool:
    low, high = map(float, within[1:-1].split(","))
    above = number >= low if within[0] == "[" else number > low
    return above and (number <= high if within[-1] == "]" else number < high)
