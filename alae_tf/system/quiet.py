"""TensorFlow's import without the lines that it prints at every start. No TensorFlow until asked.

Its C++ prints them before it looks at TF_CPP_MIN_LOG_LEVEL, so standard error itself is filtered
while the import lasts.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading

LEVEL = "TF_CPP_MIN_LOG_LEVEL"
# A line of absl's log (I0000 …) that only informs, its second line, and the warning above it.
NOISE = re.compile(
    rb"I\d{4} \d\d:\d\d:[\d.]+ +\d+ [\w.]+:\d+\] "
    rb"|WARNING: All log messages before absl::InitializeLog\(\) is called are written to STDERR"
    rb"|To enable the following instructions: "
)


def import_tensorflow() -> None:
    """Imports TensorFlow; of what it says meanwhile only warnings and errors reach the screen.

    To be called by a command before anything that imports TensorFlow. With TF_CPP_MIN_LOG_LEVEL=0
    in the environment everything is shown.
    """
    # TensorFlow tells of missing GPUs and failed graph rewrites as errors.
    os.environ.setdefault(LEVEL, "3")
    threads = threading.active_count() > 1  # as in a notebook, which is not to be forked
    loud = os.environ[LEVEL] == "0" or not hasattr(os, "fork")  # as on Windows
    if loud or "tensorflow" in sys.modules or threads:
        import tensorflow  # noqa: F401

        return
    sys.stderr.flush()
    screen = os.dup(2)
    reader, writer = os.pipe()
    # A process of its own passes on what an import that crashes has said last.
    child = os.fork()
    if child == 0:
        os.close(writer)
        _filter(reader, screen)
    os.close(reader)
    os.dup2(writer, 2)
    os.close(writer)
    try:
        import tensorflow  # noqa: F401
    finally:
        sys.stderr.flush()
        os.dup2(screen, 2)
        os.close(screen)
        os.waitpid(child, 0)


def _filter(reader: int, screen: int) -> None:
    """Copies lines that are no noise until the other end closes; ends the process."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to tell
        with open(reader, "rb") as lines, open(screen, "wb", buffering=0) as out:
            for line in lines:
                if not NOISE.match(line):
                    out.write(line)
    finally:
        os._exit(0)
