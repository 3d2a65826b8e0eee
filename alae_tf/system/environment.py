"""What a process inherits, made sound before Keras or matplotlib is imported. No TensorFlow."""

from __future__ import annotations

import functools
import io
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from alae_tf.system import plugins
from alae_tf.system.errors import report, told


def start(main: Callable[[], int | None]) -> int | None:
    """Runs a command in a process of its own; returns its exit code.

    The process belongs to the command, which replaces settings for other programs: the backends
    that a notebook or a user's keras.json chooses for matplotlib and Keras. Characters that the
    terminal's encoding lacks are printed as escapes. Plug-ins are imported. A path on the command
    line that the system refuses to look at, for instance one that is too long, is reported.
    """
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


def cache() -> Path:
    """Where results that take long are kept: $ALAE_TF_CACHE, else ~/.cache/alae_tf, else, for a
    user without a home directory, a temporary folder of this process."""
    if given := os.environ.get("ALAE_TF_CACHE"):
        return Path(given)
    try:
        return Path.home() / ".cache" / "alae_tf"
    except RuntimeError:  # HOME is not set, and the system does not know the user
        return _temporary()


@functools.cache
def _temporary() -> Path:
    """The folder, announced on stderr when it is made."""
    folder = Path(tempfile.mkdtemp(prefix="alae_tf-"))
    print(
        f"No home directory: the cache is {folder}; ALAE_TF_CACHE names another.", file=sys.stderr
    )
    return folder
