"""Settings: dataclass fields that are also flags, with help, a text form and valid values."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import math
import re
import typing
from collections.abc import Collection, Iterable, Mapping, Sequence

from alae_tf.system.arguments import Arguments
from alae_tf.system.errors import ConfigError

METAVARS = {str: "TEXT", int: "N", float: "X", bool: "{true,false}"}
IN_WORDS = {int: "a whole number", float: "a number", bool: "true or false"}
TRUE, FALSE = ("true", "t", "1"), ("false", "f", "0")


def setting(
    group: str, default: object, help: str, within: str = "", choices: Collection[str] = ()
) -> typing.Any:
    """A dataclass field that is also a flag.

    Args:
        group: one of `alae_tf.config.GROUPS`.
        default: sets the type; a tuple for a setting with one value a level.
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
        if type(entry) is not wanted and (type(entry), wanted) != (int, float):
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


class Parser(Arguments):
    """Parses settings in absl's syntax, beside a command's own flags.

    Args:
        record: the dataclass of the settings.
        groups: the meaning of each group of settings, in the order of the help.
        first: settings that the help shows first.
        module, about, options: see `Arguments`.
    """

    def __init__(
        self,
        record: type,
        groups: Mapping[str, str],
        first: Sequence[str] = (),
        module: str = "",
        about: str | None = None,
        **options,
    ):
        super().__init__(module, about, allow_abbrev=False, **options)
        self.fields = {field.name: field for field in dataclasses.fields(record)}
        section = self.add_argument_group("the settings that matter most")
        for name in first:
            _add(section, self.fields[name])
        for group, meaning in groups.items():
            section = self.add_argument_group(group, meaning)
            for name, field in self.fields.items():
                if field.metadata["group"] == group and name not in first:
                    _add(section, field)

    def error(self, message: str) -> typing.NoReturn:
        raise ConfigError(f"{message}.")

    def texts(
        self, arguments: Iterable[str], renamed: Mapping[str, str]
    ) -> tuple[argparse.Namespace, dict[str, str]]:
        """The command's own flags, and the texts of the given settings by name.

        `renamed`: the present names of settings by their earlier names, which are refused. Raises
        ConfigError if an argument is unknown or has no value.
        """
        own, rest = self.parse_known_args([self._long(argument) for argument in arguments])
        for argument in rest:
            name = argument.partition("=")[0].removeprefix("--")
            if name in renamed:
                raise ConfigError(f"--{name}: is now called --{renamed[name]}.")
            if not argument.startswith("-"):
                raise ConfigError(f"{argument!r} is not of the form --name=value.")
            near = difflib.get_close_matches(name, [*self.fields, *vars(own)], 1)
            meant = f" Did you mean --{near[0]}?" if near else ""
            raise ConfigError(f"--{name}: is unknown.{meant} --help lists all flags.")
        return own, {name: text for name, text in vars(own).items() if name in self.fields}

    def _long(self, argument: str) -> str:
        """--name=true for the switch --name, --name=false for --noname, --name for -name."""
        argument = re.sub("^-(?=[a-z_]{2})", "--", argument)
        for text, name in (("true", argument[2:]), ("false", argument[2:].removeprefix("no"))):
            if argument.startswith("--") and name in self.fields:
                if kind(self.fields[name]) is bool:
                    return f"--{name}={text}"
        return argument


def _add(group: argparse._ArgumentGroup, field: dataclasses.Field) -> None:
    choices = field.metadata["choices"]
    metavar = "{" + ",".join(choices) + "}" if choices else METAVARS[kind(field)]
    metavar += f"[,{metavar},…]" if isinstance(field.default, tuple) else ""
    about = f"{field.metadata['help']} Default: {to_text(field.default) or 'none'}"
    about = about.replace("%", "%%")
    group.add_argument(f"--{field.name}", default=argparse.SUPPRESS, metavar=metavar, help=about)
