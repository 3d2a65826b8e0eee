"""Errors that a user can mend, and how a command tells them. No TensorFlow here."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Iterator

from tqdm import tqdm


class AlaeError(ValueError):
    """Something that the user can mend.

    The message names the flag or file at fault, what was wrong and what would be right.

    Attributes:
        exit_code: of a command that ends with it. 2: a wrong flag, file or setting, told before
            any work; 1: the work failed on the way.
    """

    exit_code = 2


class ConfigError(AlaeError):
    """A setting is wrong; the message names the flag, what it was and what would be right."""


class CheckpointError(AlaeError):
    """A run or a checkpoint cannot be read; the message names it and what is wrong with it."""


def report(who: str, message: str) -> None:
    """Prints a line for the user on stderr, above a progress bar if one is shown.

    Args:
        who: the command or flag that it is about.
        message: what is to be known.
    """
    tqdm.write(printable(f"{who}: {message}"), file=sys.stderr)


class WarnOnce:
    """Reports failures that need not end the work, the first time that each thing fails.

    Args:
        who: the command.
        then: what happens all the same.

    Call:
        what: failed.
        error: why.
    """

    def __init__(self, who: str, then: str):
        self._who, self._then = who, then
        self._warned: set[str] = set()

    def __call__(self, what: str, error: Exception) -> None:
        if what not in self._warned:
            self._warned.add(what)
            why = traceback.format_exception_only(error)[-1].strip()
            report(self._who, f"{what} failed ({why}); {self._then}.")

    @contextlib.contextmanager
    def on_failure(self, what: str) -> Iterator[None]:
        """Within it, an error is reported and ends what is within."""
        try:
            yield
        except Exception as error:
            self(what, error)


def guarded(command: str, work: Callable[[], int | None]) -> int:
    """Runs a command's work; what users can mend is printed on stderr as one message.

    Returns:
        The exit code: 0 (or what `work` returns) done; an error's own; 130 stopped by Ctrl-C.
    """
    try:
        for argument in sys.argv[1:]:
            if not is_utf8(argument):
                raise ConfigError(
                    f"{argument}: is not UTF-8, which TensorFlow wants of names; "
                    "rename the file or directory, or name it by a link."
                )
        return work() or 0
    except AlaeError as error:
        print(f"{command}: {printable(str(error))}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print(f"{command}: stopped.", file=sys.stderr)
        return 130
    except OSError as error:  # a file that was there when it was looked for
        print(f"{command}: {printable(told(error))}.", file=sys.stderr)
        return 1


def told(error: OSError) -> str:
    """What the system reports, with the file it concerns where that is known."""
    if isinstance(error, FileNotFoundError):
        try:
            os.getcwd()
        except FileNotFoundError:
            return "the working directory was deleted; change to another"
    file = f"{error.filename}: " if error.filename else ""
    return f"{file}{error.strerror or error}"


def described(error: Exception) -> str:
    """An exception of other people's code as printable text: its class, and its message if it has
    one that can be read."""
    try:
        message = str(error)
    except Exception:
        message = "its message cannot be read"
    return printable(f"{type(error).__name__}: {message}")


def is_utf8(text: str) -> bool:
    """Whether a text from the command line was UTF-8 there; other bytes have become surrogates."""
    return not any("\ud800" <= c <= "\udfff" for c in text)


def program(module: str) -> str:
    """What a user types to run a command: `alae train` if that was typed, else `python -m …`.

    Args:
        module: the command's, as "alae_tf.train".
    """
    typed = sys.argv[0]  # `alae_tf.__main__` puts the whole command there
    return typed if typed.startswith(("alae ", "python -m alae_tf ")) else f"python -m {module}"


def reason(message: str) -> str:
    """The line of TensorFlow's message that says why, without the stack around it."""
    for mark in ("DataError: ", "assertion failed: "):  # of a source inside tf.data; of tf.Assert
        own = message.rpartition(mark)[2]
        if own != message:
            return own.splitlines()[0].rstrip(". ")
    around = ("Graph execution error", "Detected at", "<stack traces")
    lines = [line for line in message.splitlines() if line.strip() and not line[0].isspace()]
    return next((line for line in lines if not line.startswith(around)), message).rstrip(". ")


def printable(text: str) -> str:
    """Text without control characters, which could drive the terminal; line ends stay."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text
    )
