"""Errors that a user can mend, and how a command tells them. No TensorFlow here."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable


class AlaeError(ValueError):
    """Something that the user can mend.

    The message names the flag or file at fault, what was wrong and what would be right.

    Attributes:
        exit_code: of a command that ends with it. 2: a wrong flag, file or setting, told before
            any work; 1: the work failed on the way.
    """

    exit_code = 2


def guarded(command: str, work: Callable[[], int | None]) -> int:
    """Runs a command's work; what users can mend is printed on stderr as one message.

    Returns:
        The exit code: 0 (or what `work` returns) done; an error's own; 130 stopped by Ctrl-C.
    """
    try:
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


def printable(text: str) -> str:
    """Text without control characters, which could drive the terminal; line ends stay."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text
    )
