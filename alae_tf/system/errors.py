"""Errors that a user can fix, and how a command reports them. No TensorFlow."""

import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Iterator

from tqdm import tqdm


class AlaeError(ValueError):
    """An error that the user can fix; its message names the flag or file at fault, and says what
    was wrong and what would be right. A command ends with `exit_code`: 2, a wrong flag, file or
    setting, found before any work; 1, the work failed."""

    exit_code = 2


class ConfigError(AlaeError):
    """A setting is wrong."""


class CheckpointError(AlaeError):
    """A run or a checkpoint cannot be read."""


def report(who: str, message: str) -> None:
    """Prints a message about a command, flag or file on stderr, above a progress bar if one is
    shown; control characters are escaped."""
    tqdm.write(printable(f"{who}: {message}"), file=sys.stderr)


class WarnOnce:
    """Reports failures that need not end the work, each kind once; called with the step that failed
    and its exception. `then` says how the command `who` proceeds, for example "training
    continues"."""

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
        """Leaves the block at the first exception and reports it."""
        try:
            yield
        except Exception as error:
            self(what, error)


def guarded(command: str, work: Callable[[], int | None]) -> int:
    """Runs a command's work and reports errors that the user can fix in one message each. Returns
    the exit code: the result of `work`, or 0; that of an `AlaeError`; 130 after Ctrl-C."""
    try:
        for argument in sys.argv[1:]:
            if not is_utf8(argument):
                how = "rename the file or directory, or make a link to it"
                raise ConfigError(f"{argument}: is not UTF-8, as TensorFlow requires; {how}.")
        return work() or 0
    except AlaeError as error:
        report(command, str(error))
        return error.exit_code
    except BrokenPipeError:  # the program that read the output has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        report(command, "stopped.")
        return 130
    except OSError as error:  # for example a file deleted after it was checked
        report(command, f"{told(error)}.")
        return 1


def told(error: OSError) -> str:
    """The system's message, preceded by the name of the file if it is known."""
    if isinstance(error, FileNotFoundError):
        try:
            os.getcwd()
        except FileNotFoundError:
            return "the working directory was deleted; change to another"
    file = f"{error.filename}: " if error.filename else ""
    return f"{file}{error.strerror or error}"


def is_utf8(text: str) -> bool:
    """Whether a string of the system was valid UTF-8; Python decodes other bytes to surrogates."""
    return not any("\ud800" <= c <= "\udfff" for c in text)


def program(module: str) -> str:
    """How the user typed the command of a module: `alae train`, or `python -m alae_tf.train`."""
    typed = sys.argv[0]  # set to the whole command by `alae_tf.__main__`
    return typed if typed.startswith(("alae ", "python -m alae_tf ")) else f"python -m {module}"


def reason(message: str) -> str:
    """The line of a TensorFlow error message that gives the reason, without the stack."""
    for mark in ("DataError: ", "assertion failed: "):  # from a source in tf.data; from tf.Assert
        own = message.rpartition(mark)[2]
        if own != message:
            return own.splitlines()[0].rstrip(". ")
    around = ("Graph execution error", "Detected at", "<stack traces")
    lines = [line for line in message.splitlines() if line.strip() and not line[0].isspace()]
    return next((line for line in lines if not line.startswith(around)), message).rstrip(". ")


def printable(text: str) -> str:
    """Text with control characters escaped, which could drive the terminal; newlines stay."""
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)
