"""absl flags ↔ Config. Only entry points import this module, and only they define flags.

Nothing here imports TensorFlow, so a wrong flag is told in a moment.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Sequence

from absl import app, flags, logging

from alae_tf.config import Config, is_list
from alae_tf.errors import guarded

FLAGS = flags.FLAGS


def define_config_flags() -> None:
    """Defines a flag for each field of `Config`, with its help."""
    for field in dataclasses.fields(Config):
        text, choices = field.metadata["help"], field.metadata["choices"]
        if choices:
            flags.DEFINE_enum(field.name, field.default, choices, text)
        elif isinstance(field.default, bool):
            flags.DEFINE_bool(field.name, field.default, text)
        elif is_list(field):
            default = ",".join(str(entry) for entry in field.default)
            flags.DEFINE_string(field.name, default, f"{text} Numbers with commas between.")
        else:  # numbers too: Config tells what a number must be better than absl does
            flags.DEFINE_string(field.name, str(field.default), text)


def read_config() -> Config:
    """The config that the command line and its flagfiles ask for.

    Raises:
        ConfigError: a value is wrong.
    """
    values = {field.name: FLAGS[field.name].value for field in dataclasses.fields(Config)}
    return Config.from_text({name: str(value) for name, value in values.items()})


def run(command: str, main: Callable[[], int | None]) -> None:
    """Parses the command line and runs `main`, printing what users can mend in one message.

    Exit codes: 0 done, 1 failed on the way, 2 a wrong flag, file or setting.
    """
    # TensorFlow tells of missing GPUs and failed graph rewrites as errors; "0" shows all of it.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    def parse(argv: Sequence[str]) -> list[str]:
        try:
            rest = FLAGS(argv)
        except UnicodeDecodeError:
            files = " ".join(word for word in argv if word.lstrip("-").startswith("flagfile"))
            print(f"{command}: {files}: names a file that is no text.", file=sys.stderr)
            sys.exit(2)
        except (flags.Error, OSError) as error:
            print(f"{command}: {error}", file=sys.stderr)
            print(f"`python -m alae_tf.{command} --help` lists the flags.", file=sys.stderr)
            sys.exit(2)
        if len(rest) > 1:
            message = f"{command}: {rest[1]!r} is not a flag; flags are written --name=value."
            print(message, file=sys.stderr)
            sys.exit(2)
        return rest

    def quiet(_: Sequence[str]) -> int | None:
        logging.set_verbosity(logging.WARNING)
        return guarded(command, main)

    for field in dataclasses.fields(Config):  # for --help, which shows the main program's flags
        FLAGS.register_key_flag_for_module(sys.argv[0], FLAGS[field.name])
    app.run(quiet, flags_parser=parse)
