"""The command line of commands that take a config: argparse, with a flag for each setting.

No TensorFlow, which makes --help and error messages appear at once.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import sys
from collections.abc import Sequence

from alae_tf.config import GROUPS, RENAMED, Config, ConfigError, by_name, field_type, flagfile
from alae_tf.config.settings import is_list, to_text
from alae_tf.system.errors import program, report

# The settings that --help shows first, below the command's own flags.
FIRST = ("data", "levels", "epochs", "batch_by_level")
EPILOG = """\
Write a flag as --name=value, a switch as --name or --noname. A later flag overrides
an earlier one, so write changes after --flagfile. Names in [brackets] are those of the
same settings in the authors' config files.
"""
METAVARS = {str: "TEXT", int: "N", float: "X"}


def parser(module: str, about: str | None) -> argparse.ArgumentParser:
    """The parser of a command that takes a config; the command adds its own flags.

    Args:
        module: the command's module, for example "alae_tf.train".
        about: the module's docstring.
    """
    made = argparse.ArgumentParser(
        prog=program(module),
        usage="%(prog)s [--flagfile=FILE] [--name=value …]",
        description=about,
        epilog=f"{settings_help()}\n{EPILOG}",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "--flagfile",
        metavar="FILE",
        help="file of flags, read in place of this flag: a path, or the name of a shipped config "
        "such as smoke or quickstart. Default: none",
    )
    return made


def parse(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None = None
) -> tuple[argparse.Namespace, Config]:
    """The command's own flags, and the config that the other flags describe.

    Reports settings that the architecture ignores.

    Args:
        parser: from `parser`.
        arguments: the command line; default: that of the process.

    Raises:
        ConfigError: a flag is unknown, or a setting is wrong.
    """
    given = flagfile.expand(sys.argv[1:] if arguments is None else arguments)
    own, rest = parser.parse_known_args(given)
    texts = by_name(rest)
    known = [field.name for field in dataclasses.fields(Config)]
    for name in texts:
        if name in RENAMED:
            raise ConfigError(f"--{name}: is now called --{RENAMED[name]}.")
        if name not in known:
            near = difflib.get_close_matches(name, [*known, *vars(own)], 1)
            meant = f" Did you mean --{near[0]}?" if near else ""
            raise ConfigError(f"--{name}: is unknown.{meant} --help lists all flags.")
    config = Config.from_text(texts)
    for name in config.ignored:
        report(f"--{name}", f"ignored with --architecture={config.architecture}.")
    return own, config


def settings_help() -> str:
    """The help of all settings by group, the most important ones first."""
    shown = argparse.ArgumentParser(usage=argparse.SUPPRESS, add_help=False)
    fields = {field.name: field for field in dataclasses.fields(Config)}
    first = shown.add_argument_group("the settings that matter most")
    for name in FIRST:
        _add(first, fields.pop(name))
    for group, meaning in GROUPS.items():
        section = shown.add_argument_group(group, meaning)
        for field in fields.values():
            if field.metadata["group"] == group:
                _add(section, field)
    return shown.format_help()


def _add(group: argparse._ArgumentGroup, field: dataclasses.Field) -> None:
    text, choices, kind = field.metadata["help"], field.metadata["choices"], field_type(field)
    text = f"{text} Default: {to_text(field.default) or 'none'}".replace("%", "%%")
    if kind is bool:
        group.add_argument(f"--{field.name}", f"--no{field.name}", action="store_true", help=text)
        return
    metavar = "{" + ",".join(choices) + "}" if choices else METAVARS[kind]
    metavar += f"[,{metavar},…]" if is_list(field) else ""
    group.add_argument(f"--{field.name}", metavar=metavar, help=text)
