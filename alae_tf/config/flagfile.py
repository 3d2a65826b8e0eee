"""Flagfiles, for the command line and for `Config.load`.

Each line is an argument, written as on the command line: `--name=value`; `--name` or `--noname` for
a switch; `--flagfile=OTHER`, which inserts the lines of OTHER; or `--name` with its value on the
next line. Empty lines, spaces around a line, and lines that begin with # or // are ignored. This is
absl's syntax, with one extension: a value that begins with a double quote is a JSON string, which
can express every value, for example one that ends in a space. No absl, no TensorFlow.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from alae_tf.system import shipped
from alae_tf.system.errors import ConfigError

SHIPPED = shipped.folder("configs")
DEEPEST = 16  # nested flagfiles


def find(name: str) -> Path:
    """The file that --flagfile names: a path, or a shipped config, for example `smoke`, `smoke.cfg`
    or `configs/smoke.cfg`. Raises ConfigError, with a list of the shipped configs, if the file does
    not exist."""
    path = Path(os.path.expanduser(name))
    if path.exists() and not path.is_dir():
        return path
    shipped = SHIPPED / f"{path.name.removesuffix('.cfg')}.cfg"
    if str(path.parent) in (".", "configs") and shipped.is_file():
        return shipped
    known = ", ".join(sorted(file.stem for file in SHIPPED.glob("*.cfg")))
    raise ConfigError(f"{name}: no such file; the shipped configs are {known}.")


def read(name: str, above: tuple[Path, ...] = ()) -> list[str]:
    """The arguments in a flagfile; see `find`. `above` are the flagfiles that include it.

    Raises ConfigError if it cannot be read, is not text, includes itself, or has an invalid line.
    """
    try:
        path = find(name).resolve()
        if path in above or len(above) == DEEPEST:
            raise ConfigError(f"{name}: includes itself by --flagfile, or is nested too deeply.")
        if not path.is_file():  # reading a pipe could block
            raise ConfigError(f"{name}: is not a regular file.")
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not a text file"
        raise ConfigError(f"{name}: cannot be read as a flagfile ({why}).") from None
    arguments: list[str] = []
    wants_value = False  # the previous line is a name alone, and this line may be its value
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not line or line.startswith(("#", "//")):
            continue
        flag, equals, value = line.partition("=") if line.startswith("-") else ("", "", line)
        try:
            if not (flag or wants_value) or any(map(str.isspace, flag)):
                raise ValueError
            arguments.append(flag + equals + unquote(value))
        except ValueError:
            raise ConfigError(
                f"{name}, line {number}: {line!r}: write --name=value; a value that begins with a "
                "double quote must be a JSON string."
            ) from None
        wants_value = bool(flag) and not equals
    try:
        return expand(arguments, (*above, path))
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None


def expand(arguments: Iterable[str], above: tuple[Path, ...] = ()) -> list[str]:
    """Arguments in which each --flagfile is replaced by the arguments in the file. Raises
    ConfigError as `read` does, with a message that begins with the flag."""
    left, expanded = list(arguments), []
    while left:
        argument = left.pop(0)
        flag, equals, name = argument.partition("=")
        if argument == "--":
            return [*expanded, argument, *left]
        if flag not in ("--flagfile", "-flagfile"):
            expanded.append(argument)
            continue
        if not equals and left:
            name = left.pop(0)
        if not name:
            raise ConfigError(f"{flag}=: name a file, for example --flagfile=configs/smoke.cfg.")
        try:
            expanded += read(name, above)
        except ConfigError as error:
            raise ConfigError(f"--flagfile={error}") from None
    return expanded


def quote(value: str) -> str:
    """A value as written in a flagfile; the inverse of `unquote`."""
    plain = value.isprintable() and value == value.strip() and not value.startswith('"')
    return value if plain else json.dumps(value)


def unquote(text: str) -> str:
    """A value as read from a flagfile; raises ValueError if it begins with a double quote and is
    not a JSON string."""
    return json.loads(text, strict=False) if text.startswith('"') else text
