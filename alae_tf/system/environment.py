"""A command's process: its environment, made safe before Keras and matplotlib are imported."""

import contextlib
import functools
import io
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from alae_tf.system import allocator, plugins
from alae_tf.system.errors import AlaeError, guarded, report, told


def start(main: Callable[[], int | None]) -> int | None:
    """Runs a command as the main program; returns its exit code.

    Sets malloc for large tensors, overrides the backends that a notebook or the user's keras.json
    sets for matplotlib and Keras, escapes characters that the terminal's encoding lacks, imports
    plug-ins, and reports paths that the system refuses, for example because they are too long.
    """
    allocator.keep_memory()
    os.environ["MPLBACKEND"] = "Agg"
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["KERAS_HOME"] = os.devnull  # holds no keras.json
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        plugins.load()
        return main()
    except plugins.PluginError as error:
        report("alae", str(error))
    except OSError as error:
        report("alae", f"{told(error)}.")
    return 2


def command(name: str) -> Callable[[Callable[..., int | None]], Callable[..., int]]:
    """Decorates a command's `main`, which is then `guarded`."""

    def decorate(main: Callable[..., int | None]) -> Callable[..., int]:
        @functools.wraps(main)
        def run(arguments: Sequence[str] | None = None) -> int:
            return guarded(name, lambda: main(arguments))

        return run

    return decorate


def cache() -> Path:
    """The cache, a folder: $ALAE_TF_CACHE, else ~/.cache/alae_tf, else, for a user without a home
    directory, a temporary folder of this process."""
    if given := os.environ.get("ALAE_TF_CACHE"):
        return Path(given)
    try:
        return Path.home() / ".cache" / "alae_tf"
    except RuntimeError:  # HOME is not set, and the system does not know the user
        return _temporary()


def number_from(name: str, default: float) -> float:
    """A positive number in an environment variable. Raises AlaeError if it is something else."""
    text = os.environ.get(name) or str(default)
    with contextlib.suppress(ValueError):
        if 0 < float(text) < float("inf"):
            return float(text)
    raise AlaeError(f"{name}={text}: must be a positive number.")


@functools.cache
def _temporary() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="alae_tf-"))
    report("cache", f"no home directory; using {folder}. Set ALAE_TF_CACHE to choose another.")
    return folder
