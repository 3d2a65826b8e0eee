"""The command line of commands that take a config: argparse, with a flag for each setting.

No TensorFlow, which makes --help and error messages appear at once.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import re
import sys
import typing
from collections.abc import Iterable, Sequence

from alae_tf.config import GROUPS, RENAMED, Config, ConfigError, flagfile
from alae_tf.config.settings import kind, to_text
from alae_tf.system.arguments import Arguments
from alae_tf.system.errors import report

FIRST = ("data", "levels", "epochs", "batch_by_level")  # in --help, below the command's own flags
FIELDS = {field.name: field for field in dataclasses.fields(Config)}
METAVARS = {str: "TEXT", int: "N", float: "X", bool: "{true,false}"}
EPILOG = """\
Write a flag as --name=value, a switch also as --name or --noname. A later flag overrides
an earlier one, so write changes after --flagfile. Names in [brackets] are those of the
same settings in the authors' config files.
"""


class Parser(Arguments):
    """Parses settings in absl's syntax, and a command's own flags; see `Arguments`."""

    def __init__(self, module: str, about: str | None, **options):
        usage = "%(prog)s [--flagfile=FILE] [--name=value …]"
        super().__init__(module, about, usage=usage, epilog=EPILOG, allow_abbrev=False, **options)
        about = "file of flags, read in place of this flag: a path, or a shipped config's name"
        self.flag("--flagfile", f"{about} such as quickstart", "FILE")
        section = self.add_argument_group("the settings that matter most")
        for name in FIRST:
            _add(section, FIELDS[name])
        for group, meaning in GROUPS.items():
            section = self.add_argument_group(group, meaning)
            for name, field in FIELDS.items():
                if field.metadata["group"] == group and name not in FIRST:
                    _add(section, field)

    def error(self, message: str) -> typing.NoReturn:
        raise ConfigError(f"{message}.")

    def parse(self, arguments: Sequence[str] | None = None) -> tuple[argparse.Namespace, Config]:
        """The command's own flags, and the config that the other flags describe.

        Settings that have no effect are reported. Raises ConfigError if a flag is unknown, or a
        setting is wrong.
        """
        given = flagfile.expand(sys.argv[1:] if arguments is None else arguments)
        own, texts = self.texts(given)
        config = Config.from_text(texts)
        for name, why in config.ignored.items():
            report(f"--{name}", f"ignored with {why}.")
        return own, config

    def texts(self, arguments: Iterable[str]) -> tuple[argparse.Namespace, dict[str, str]]:
        """The command's own flags, and the texts of the given settings by name; raises ConfigError
        if an argument is unknown or has no value."""
        own, rest = self.parse_known_args([_long(argument) for argument in arguments])
        for argument in rest:
            name = argument.partition("=")[0].removeprefix("--")
            if name in RENAMED:
                raise ConfigError(f"--{name}: is now called --{RENAMED[name]}.")
            if not argument.startswith("-"):
                raise ConfigError(f"{argument!r} is not of the form --name=value.")
            near = difflib.get_close_matches(name, [*FIELDS, *vars(own)], 1)
            meant = f" Did you mean --{near[0]}?" if near else ""
            raise ConfigError(f"--{name}: is unknown.{meant} --help lists all flags.")
        return own, {name: text for name, text in vars(own).items() if name in FIELDS}


def _long(argument: str) -> str:
    """--name=true for the switch --name, --name=false for --noname, --name for -name."""
    argument = re.sub("^-(?=[a-z_]{2})", "--", argument)
    for text, name in (("true", argument[2:]), ("false", argument[2:].removeprefix("no"))):
        if argument.startswith("--") and name in FIELDS and kind(FIELDS[name]) is bool:
            return f"--{name}={text}"
    return argument


def _add(group: argparse._ArgumentGroup, field: dataclasses.Field) -> None:
    choices = field.metadata["choices"]
    metavar = "{" + ",".join(choices) + "}" if choices else METAVARS[kind(field)]
    metavar += f"[,{metavar},…]" if isinstance(field.default, tuple) else ""
    about = f"{field.metadata['help']} Default: {to_text(field.default) or 'none'}"
    about = about.replace("%", "%%")
    group.add_argument(f"--{field.name}", default=argparse.SUPPRESS, metavar=metavar, help=about)
