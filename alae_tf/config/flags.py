"""The command line of the commands that take a config: argparse, and a flag for each setting.

No TensorFlow here, which lets --help and a wrong flag answer in a moment.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import sys
from collections.abc import Sequence

from alae_tf.config import GROUPS, RENAMED, Config, ConfigError, by_name, field_type, flagfile
from alae_tf.config.settings import is_list, to_text
from alae_tf.system.errors import program

# What --help shows first, below the command's own flags.
FIRST = ("data", "levels", "epochs", "batch_by_level")
EPILOG = """\
Flags are written --name=value; switches, --name or --noname. A later flag
overrides an earlier one: write changes after --flagfile. Names in [brackets]
are the keys of the authors' own config files.
"""
METAVARS = {str: "TEXT", int: "N", float: "X"}


def parser(module: str, about: str | None) -> argparse.ArgumentParser:
    """The parser of a command that takes a config; the command adds its own flags.

    Args:
        module: the command's, as "alae_tf.train".
        about: the docstring of the module.
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
        help="a file of flags, read as if they stood in its place: a path, or the name of a "
        "shipped config, as smoke or quickstart",
    )
    return made


def parse(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None = None
) -> tuple[argparse.Namespace, Config]:
    """The command's own flags, and the config that all others describe.

    Settings that its architecture does not read are named on stderr.

    Args:
        parser: from `parser`.
        arguments: default: the process's.

    Raises:
        ConfigError: a flag is unknown, or a setting wrong.
    """
    given = flagfile.expand(sys.argv[1:] if arguments is None else arguments)
    own, rest = parser.parse_known_args(given)
    texts = by_name(rest)
    known = [field.name for field in dataclasses.fields(Config)]
    for name in texts:
        if name in RENAMED:
            raise ConfigError(f"--{name}: is called --{RENAMED[name]} now.")
        if name not in known:
            near = difflib.get_close_matches(name, [*known, *vars(own)], 1)
            meant = f" Did you mean --{near[0]}?" if near else ""
            raise ConfigError(f"--{name}: is unknown.{meant} --help lists all flags.")
    config = Config.from_text(texts)
    for name in config.ignored:
        print(f"--{name}: ignored with --architecture={config.architecture}.", file=sys.stderr)
    return own, config


def settings_help() -> str:
    """The settings by group, as argparse shows flags, the most important ones first."""
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
    """One setting, with its default."""
    text, choices, kind = field.metadata["help"], field.metadata["choices"], field_type(field)
    text = f"{text} Default: {to_text(field.default) or 'none'}".replace("%", "%%")
    if kind is bool:
        group.add_argument(f"--{field.name}", f"--no{field.name}", action="store_true", help=text)
        return
    metavar = "{" + ",".join(choices) + "}" if choices else METAVARS[kind]
    metavar += f"[,{metavar},…]" if is_list(field) else ""
    group.add_argument(f"--{field.name}", metavar=metavar, help=text)
