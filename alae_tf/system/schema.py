"""Checks JSON that users or other programs may have written.

A pattern looks like the value that it describes:

    str, int, float, bool, None   a value of this type; numbers are finite; an int is also a float
    object                        any JSON value
    [pattern]                     a list of any length
    {str: pattern}                an object with any names
    {"name": pattern}             an object that has this name and may have others
    {"name?": pattern}            an object in which this name is optional
    (pattern, pattern)            a value that matches either
"""

import json
import math
import sys
import typing
from pathlib import Path

LARGEST_FILE = 2**28  # bytes
LONGEST = 4096  # characters in a string
DEEPEST = 16  # nested lists and objects


def load(path: Path, pattern: object) -> typing.Any:
    """The contents of a JSON file. Raises OSError, or ValueError if it is not a regular file, too
    large, not JSON, or does not match the pattern; the message names the field."""
    if path.stat().st_size > LARGEST_FILE:
        raise ValueError(f"larger than {LARGEST_FILE >> 20} MiB")
    if not path.is_file():
        raise ValueError("not a regular file")
    return parse(path.read_bytes(), pattern)


def parse(text: str | bytes, pattern: object) -> typing.Any:
    """The value of a JSON text. Raises ValueError if it is not JSON, or does not match the pattern;
    the message names the field."""
    try:
        value = json.loads(text, parse_int=_whole)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    check(value, pattern)
    return value


def check(value: object, pattern: object, where: str = "", depth: int = 0) -> None:
    """Raises ValueError, naming the field, if a value does not match a pattern."""
    if depth > DEEPEST:
        raise ValueError(f"{where} is nested too deeply")
    kinds = pattern if isinstance(pattern, tuple) else (pattern,)
    for kind in kinds:
        if _fits(value, kind):
            break
    else:
        expected = " or ".join(map(_described, kinds))
        raise ValueError(f"{where or 'it'} is {_shown(value)}, expected {expected}")
    if isinstance(value, list):
        inner = kind[0] if isinstance(kind, list) else object
        for i, entry in enumerate(value):
            check(entry, inner, f"{where}/{i}", depth + 1)
    if isinstance(value, dict):
        names: dict[object, object] = kind if isinstance(kind, dict) else {}
        for name in names:
            if isinstance(name, str) and not name.endswith("?") and name not in value:
                raise ValueError(f"{where}/{name} is missing")
        for name, entry in value.items():
            at = f"{where}/{_shown(name)}"
            check(name, str, at)
            inner = names.get(name, names.get(f"{name}?", names.get(str, object)))
            check(entry, inner, at, depth + 1)


def finite(value: typing.Any) -> typing.Any:
    """A value to be written as JSON, with None in the place of NaN and infinity, which JSON
    lacks."""
    if isinstance(value, dict):
        return {name: finite(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _whole(digits: str) -> float:
    """An integer, or infinity beyond the range of floats, where `int` may refuse the digits."""
    return int(digits) if len(digits) < 400 else float(digits)


def _fits(value: object, kind: object) -> bool:
    """Whether a value is of the outermost type of a pattern."""
    if isinstance(value, str):
        return kind in (str, object) and len(value) <= LONGEST
    if isinstance(value, int | float) and not isinstance(value, bool):
        wanted = (float, object, int) if isinstance(value, int) else (float, object)
        return kind in wanted and abs(value) <= sys.float_info.max
    if isinstance(kind, dict | list):
        return isinstance(value, type(kind))
    return kind is object or (kind is None if value is None else kind is type(value))


def _described(kind: object) -> str:
    """The outermost type of a pattern, in words, for messages."""
    if isinstance(kind, dict | list):
        return "an object" if isinstance(kind, dict) else "a list"
    string = f"a string of at most {LONGEST:,} characters"
    words = {str: string, int: "a whole number", float: "a finite number", bool: "true or false"}
    return (words | {None: "null", object: f"a finite number or {string}"})[kind]


def _shown(value: object) -> str:
    """A value for a message, shortened."""
    if isinstance(value, dict | list):
        return _described(value)
    text = str(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
