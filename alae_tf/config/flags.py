"""The command line of commands that take a config: argparse, with a flag for each setting.

No TensorFlow, which makes --help and error messages appear at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from alae_tf.config import GROUPS, RENAMED, Config, flagfile
from alae_tf.config.settings import Parser
from alae_tf.system.errors import report

FIRST = ("data", "levels", "epochs", "batch_by_level")  # in --help, below the command's own flags
EPILOG = """\
Write a flag as --name=value, a switch also as --name or --noname. A later flag overrides
an earlier one, therefore write changes after --flagfile. Capitals in [brackets] are the
names of the same settings in the config files of the authors' code.
"""


def parser(module: str, about: str | None) -> Parser:
    """The parser of a command that takes a config; the command adds its own flags. See
    `Arguments`."""
    usage = "%(prog)s [--flagfile=FILE] [--name=value …]"
    made = Parser(Config, GROUPS, FIRST, module, about, usage=usage, epilog=EPILOG)
    made.flag(
        "--flagfile",
        "file of flags, inserted at this place: a path, or the name of a shipped config such as "
        "smoke or quickstart",
        "FILE",
    )
    return made


def parse(
    parser: Parser, arguments: Sequence[str] | None = None
) -> tuple[argparse.Namespace, Config]:
    """The command's own flags, and the config that the other flags describe.

    Settings that the architecture ignores are reported. Raises ConfigError if a flag is unknown, or
    a setting is wrong.
    """
    given = flagfile.expand(sys.argv[1:] if arguments is None else arguments)
    own, texts = parser.texts(given, RENAMED)
    config = Config.from_text(texts)
    for name in config.ignored:
        report(f"--{name}", f"ignored with --architecture={config.architecture}.")
    return own, config
