"""absl flags ↔ Config, and the --help of the commands that have them.

Only entry points import this module, and only they define flags. Nothing here imports TensorFlow,
so that --help and a wrong flag take a moment.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Callable, Sequence

from absl import app, flags, logging

from alae_tf import flagfile
from alae_tf.config import GROUPS, RENAMED, Config, ConfigError, field_type
from alae_tf.environment import start
from alae_tf.errors import guarded, printable, program
from alae_tf.settings import is_list

FLAGS = flags.FLAGS
HELP = ("-h", "-help", "--help", "-helpshort", "--helpshort", "-?", "--?")
EPILOG = """\
Flags are written --name=value; those that switch, --name or --noname. What
stands later wins, so changes follow --flagfile. --helpfull lists absl's own too.
"""
METAVARS = {"str": "TEXT", "string": "TEXT", "int": "N", "float": "X"}


def define_config_flags() -> None:
    """Defines a flag for each field of `Config`, with its help."""
    for field in dataclasses.fields(Config):
        if isinstance(field.default, bool):
            flags.DEFINE_bool(field.name, field.default, field.metadata["help"])
        else:  # numbers and choices too: Config tells better than absl what they must be
            flags.DEFINE_string(field.name, default_text(field), field.metadata["help"])


def default_text(field: dataclasses.Field) -> str:
    """A field's default as a flag has it."""
    if isinstance(field.default, tuple):
        return ",".join(str(entry) for entry in field.default)
    return str(field.default).lower() if isinstance(field.default, bool) else str(field.default)


def read_config() -> Config:
    """The config that the command line and its flagfiles ask for.

    Settings that its architecture has no use for are named on stderr.

    Raises:
        ConfigError: a value is wrong.
    """
    values = {field.name: FLAGS[field.name].value for field in dataclasses.fields(Config)}
    config = Config.from_text({name: str(value) for name, value in values.items()})
    for name in config.passed_over:
        print(f"--{name}: passed over, --architecture=mlp has no use for it.", file=sys.stderr)
    return config


def run(command: str, main: Callable[[], int | None]) -> None:
    """Parses the command line and runs `main`, printing what users can mend in one message.

    Exit codes: 0 done, 1 failed on the way, 2 a wrong flag, file or setting.
    """
    # TensorFlow tells of missing GPUs and failed graph rewrites as errors; "0" shows all of it.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    def parse(argv: Sequence[str]) -> list[str]:
        try:
            arguments = flagfile.expand(argv[1:])
            if any(argument in HELP for argument in arguments):
                about = getattr(main, "__globals__", {}).get("__doc__")
                print(help_text(program(f"alae_tf.{command}"), about), end="")
                sys.exit(0)
            check(arguments)
            rest = FLAGS([argv[0], *arguments])
            if len(rest) > 1:
                raise ConfigError(f"{rest[1]!r} is not a flag; flags are written --name=value.")
        except (flags.Error, ConfigError) as error:
            print(f"{command}: {printable(str(error))}", file=sys.stderr)
            print(f"`{program(f'alae_tf.{command}')} --help` lists the flags.", file=sys.stderr)
            sys.exit(2)
        return rest

    def quiet(_: Sequence[str]) -> int | None:
        logging.set_verbosity(logging.WARNING)
        return guarded(command, main)

    sys.exit(start(lambda: app.run(quiet, flags_parser=parse)))


def check(arguments: list[str]) -> None:
    """Tells what absl would take without a word: old names, and flags that swallow the next one.

    Raises:
        ConfigError: names the flag.
    """
    left = list(arguments)
    while left and left[0] != "--":
        argument = left.pop(0)
        name, equals, _ = argument.removeprefix("-").removeprefix("-").partition("=")
        if not flagfile.is_flag(argument):
            continue
        if name in RENAMED:
            raise ConfigError(f"--{name}: is called --{RENAMED[name]} now.")
        if not equals and name in FLAGS and not FLAGS[name].boolean:
            flagfile.value_of(argument, left)
            left.pop(0)


def help_text(typed: str, about: str | None) -> str:
    """The --help of a command: its own flags, then the config's by group, as argparse writes it.

    Args:
        typed: the command, as "python -m alae_tf.train".
        about: the docstring of its module.
    """
    parser = argparse.ArgumentParser(
        prog=typed,
        usage="%(prog)s [--flagfile=FILE] [--name=value …]",
        description=about,
        epilog=EPILOG,
        add_help=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    own = parser.add_argument_group("this command")
    own.add_argument("-h", "--help", action="store_true", help="show this and stop")
    own.add_argument(
        "--flagfile",
        metavar="FILE",
        help="flags from a file, in this place: a path, or a shipped config as smoke or quickstart",
    )
    fields = {field.name: field for field in dataclasses.fields(Config)}
    for module, defined in FLAGS.flags_by_module_dict().items():
        for flag in defined if not module.startswith("absl") else ():
            if flag.name not in fields:
                choices = getattr(flag.parser, "enum_values", None)
                kind = METAVARS.get(flag.flag_type(), "")
                _add(own, flag.name, flag.help or "", flag.default, choices, kind)
    for group, meaning in GROUPS.items():
        section = parser.add_argument_group(group, meaning)
        for name, field in fields.items():
            if field.metadata["group"] == group:
                kind = METAVARS.get(field_type(field).__name__, "")
                kind += f"[,{kind},…]" if is_list(field) else ""
                choices = field.metadata["choices"]
                _add(section, name, field.metadata["help"], default_text(field), choices, kind)
    return parser.format_help()


def _add(group, name: str, text: str, default: object, choices, metavar: str) -> None:
    """One flag of --help; without choices and metavar it is one that switches."""
    text += "" if default in (None, "") else f" Default: {default}"
    text = text.replace("%", "%%")
    if choices:
        text = text.removeprefix(f"<{'|'.join(choices)}>: ")  # absl's
        group.add_argument(f"--{name}", metavar="{" + ",".join(choices) + "}", help=text)
    elif metavar:
        group.add_argument(f"--{name}", metavar=metavar, help=text)
    else:
        group.add_argument(f"--{name}", f"--no{name}", action="store_true", help=text)
