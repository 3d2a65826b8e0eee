"""The command line of a command: argparse, with the default of each flag in its help."""

import argparse
import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from alae_tf.system.errors import AlaeError, program
from alae_tf.system.files import expanded
from alae_tf.system.urls import COLLAPSED, is_url

T = TypeVar("T")
SEED = 2**31 - 1  # the largest seed
SIDES = tuple(2**k for k in range(2, 11))  # of images, in pixels


class Arguments(argparse.ArgumentParser):
    """Parses the command line of a module, for example "alae_tf.train"; `about` is its
    docstring."""

    def __init__(self, module: str, about: str | None, **options):
        form = argparse.RawDescriptionHelpFormatter
        super().__init__(prog=program(module), description=about, formatter_class=form, **options)

    def flag(
        self, name: str, about: str, metavar: str | None = None, absent: str = "none", **options
    ) -> None:
        """Adds a flag with a value. `about` is its help, to which the default is appended, and
        `absent` describes the default if it is None or empty; for the others see `add_argument`."""
        default = options.get("default")
        end = f"Default: {absent if default in (None, '') else default}"
        about = f"{about}. {'Required' if options.get('required') else end}".replace("%", "%%")
        self.add_argument(name, help=about, metavar=metavar, **options)

    def switch(self, name: str, about: str) -> None:
        """Adds a flag without a value, which is off by default."""
        self.add_argument(name, help=f"{about}. Default: off", action="store_true")


def between(low: float, high: float, kind: type = int) -> Callable[[str], float]:
    """A flag's `type`: a number from low to high."""
    number = "a whole number" if kind is int else "a number"

    def read(text: str) -> float:
        with contextlib.suppress(ValueError):
            if low <= (value := kind(text)) <= high:
                return value
        raise argparse.ArgumentTypeError(f"{text!r}: must be {number} from {low:,} to {high:,}")

    return read


def several(read: Callable[[str], T]) -> Callable[[str], list[T]]:
    """A flag's `type`: values separated by commas."""
    return lambda text: [read(part) for part in text.split(",")]


def local(text: str) -> Path:
    """A flag's `type`: a path, in which ~ is the home directory; shells do not expand `--out=~`."""
    try:
        return expanded(text)
    except AlaeError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def output(*endings: str) -> Callable[[str], Path]:
    """A flag's `type`: a file to write, whose folder must exist, with one of some extensions."""

    def file(text: str) -> Path:
        found = local(text)
        if found.suffix not in (endings or (found.suffix,)):
            raise argparse.ArgumentTypeError(f"{text}: must end in {' or '.join(endings)}")
        if is_url(text):
            raise argparse.ArgumentTypeError(f"{text}: takes a path on this machine, not a URL")
        if not Path(os.path.realpath(found)).parent.is_dir():
            raise argparse.ArgumentTypeError(f"{text}: its directory does not exist")
        try:
            os.lstat(found)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise argparse.ArgumentTypeError(f"{text}: {error.strerror}") from None
        return found

    return file


def path_or_url(text: str) -> str:
    """A flag's `type`: a path, or a URL with both slashes."""
    if COLLAPSED.match(text) and not is_url(text) and not os.path.lexists(text):
        raise argparse.ArgumentTypeError(f"{text}: a URL has two slashes after the colon")
    return text


def place(text: str) -> Path | str:
    """A flag's `type`: a path, see `local`, or a URL, which stays a string."""
    return text if is_url(path_or_url(text)) else local(text)


def side(text: str) -> int:
    """A flag's `type`: the side of square images, in pixels."""
    if text not in map(str, SIDES):
        raise argparse.ArgumentTypeError(f"{text}: must be 4, 8, 16, … or 1024")
    return int(text)
