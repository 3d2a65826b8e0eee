"""Imports TensorFlow without the log lines that it prints at every start.

Its C++ code prints them before it reads TF_CPP_MIN_LOG_LEVEL; therefore standard error itself is
filtered during the import.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading

LEVEL = "TF_CPP_MIN_LOG_LEVEL"
# An INFO line of absl's log (I0000 …), its continuation, and the warning printed before it.
NOISE = re.compile(
    rb"I\d{4} \d\d:\d\d:[\d.]+ +\d+ [\w.]+:\d+\] "
    rb"|WARNING: All log messages before absl::InitializeLog\(\) is called are written to STDERR"
    rb"|To enable the following instructions: "
)


def import_tensorflow() -> None:
    """Imports TensorFlow and hides its INFO lines.

    Commands call it before any module that imports TensorFlow. TF_CPP_MIN_LOG_LEVEL=0 in the
    environment shows everything.
    """
    # 3, because TensorFlow logs missing GPUs and failed graph rewrites as errors.
    os.environ.setdefault(LEVEL, "3")
    threads = threading.active_count() > 1  # for example in a notebook: forking would be unsafe
    loud = os.environ[LEVEL] == "0" or not hasattr(os, "fork")  # Windows has no fork
    if loud or "tensorflow" in sys.modules or threads:
        import tensorflow  # noqa: F401

        return
    sys.stderr.flush()
    screen = os.dup(2)
    reader, writer = os.pipe()
    # The filter is a separate process, which outlives an import that crashes.
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
    """Copies all lines but noise until the other end closes, then ends the process."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
        with open(reader, "rb") as lines, open(screen, "wb", buffering=0) as out:
            for line in lines:
                if not NOISE.match(line):
                    out.write(line)
    finally:
        os._exit(0)
