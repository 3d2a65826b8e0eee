"""Flagfiles: one dialect, for the command line and for `Config.load`.

A line is an argument as on the command line: `--name=value`; `--name` or `--noname` for what is
true or false; `--flagfile=OTHER`, in whose place the lines of OTHER stand; `--name` with its value
on the next line. Blank lines are passed over, so are blanks around a line and lines that begin
with # or //. All this absl reads too. One thing is added: a value that begins with a double quote
is a JSON string, so that every value can be written, also one that ends in a blank.

Nothing here imports absl or TensorFlow.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from alae_tf.system import shipped
from alae_tf.system.errors import ConfigError

SHIPPED = shipped.folder("configs")
DEEPEST = 16  # flagfiles within flagfiles


def find(name: str) -> Path:
    """The file that --flagfile names: a path, or one of the shipped configs as `smoke`,
    `smoke.cfg` or `configs/smoke.cfg`.

    Raises:
        ConfigError: there is neither; lists the shipped ones.
    """
    path = Path(os.path.expanduser(name))
    if path.exists() and not path.is_dir():
        return path
    if str(path.parent) not in (".", "configs"):
        raise ConfigError(f"{name}: no such file.")
    shipped = SHIPPED / f"{path.name.removesuffix('.cfg')}.cfg"
    if shipped.is_file():
        return shipped
    known = ", ".join(sorted(file.stem for file in SHIPPED.glob("*.cfg")))
    raise ConfigError(f"{name}: no such file, and none of the shipped configs: {known}.")


def read(name: str, above: tuple[Path, ...] = ()) -> list[str]:
    """The arguments in a flagfile.

    Args:
        name: as `find` takes it.
        above: the flagfiles that led to this one.

    Raises:
        ConfigError: it cannot be read, is no text, names itself, or has a line that is no argument.
    """
    try:
        path = find(name).resolve()
        if path in above or len(above) == DEEPEST:
            raise ConfigError(f"{name}: names itself by --flagfile, or the nest is too deep.")
        if not path.is_file():  # a pipe would wait for ever
            raise ConfigError(f"{name}: is no regular file.")
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read as a flagfile ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{name}: is no text file.") from None
    arguments: list[str] = []
    wants_value = False  # the line before is a name alone, of which this one may be the value
    for number, line in enumerate(lines, start=1):
        line = line.strip()
        if not line or line.startswith(("#", "//")):
            continue
        if not line.startswith("-") and not wants_value:
            raise ConfigError(f"{name}, line {number}: {line!r} is not of the form --name=value.")
        flag, equals, value = line.partition("=") if line.startswith("-") else ("", "", line)
        if any(blank.isspace() for blank in flag):
            raise ConfigError(
                f"{name}, line {number}: {line!r}: an equals sign, no blank, parts name and value."
            )
        try:
            arguments.append(flag + equals + unquote(value))
        except ValueError:
            raise ConfigError(
                f"{name}, line {number}: {line!r}: a value that begins with a double quote must "
                "be a JSON string."
            ) from None
        wants_value = bool(flag) and not equals
    try:
        return expand(arguments, (*above, path))
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None


def expand(arguments: Iterable[str], above: tuple[Path, ...] = ()) -> list[str]:
    """Arguments, with those of each --flagfile in its place.

    Raises:
        ConfigError: as of `read`; the message begins with the flag.
    """
    left, expanded = list(arguments), []
    while left:
        argument = left.pop(0)
        flag, equals, name = argument.partition("=")
        if argument == "--":
            return [*expanded, argument, *left]
        if flag not in ("--flagfile", "-flagfile"):
            expanded.append(argument)
            continue
        if not equals:
            name = value_of(flag, left)
            left.pop(0)
        if not name:
            raise ConfigError(f"{flag}=: name a file, as --flagfile=configs/smoke.cfg.")
        try:
            expanded += read(name, above)
        except ConfigError as error:
            raise ConfigError(f"--flagfile={error}") from None
    return expanded


def is_flag(argument: str) -> bool:
    """Whether an argument is a flag: it begins with a dash and is no negative number."""
    return argument.startswith("-") and not argument[1:2].isdigit()


def value_of(flag: str, following: list[str]) -> str:
    """The value of a flag that stands without one: the argument after it.

    Raises:
        ConfigError: there is none, or it is a flag itself.
    """
    if not following or is_flag(following[0]):
        raise ConfigError(f"{flag}: has no value; write {flag}=VALUE.")
    return following[0]


def quote(value: str) -> str:
    """A value as a flagfile has it; `unquote` gives it back."""
    plain = value.isprintable() and value == value.strip() and not value.startswith('"')
    return value if plain else json.dumps(value)


def unquote(text: str) -> str:
    """The value that a flagfile means.

    Raises:
        ValueError: it begins with a double quote and is no JSON string.
    """
    return json.loads(text, strict=False) if text.startswith('"') else text
