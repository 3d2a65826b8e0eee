"""Imports TensorFlow without the log lines that it prints at every start.

Its C++ code prints them before it reads TF_CPP_MIN_LOG_LEVEL; therefore standard error itself is
filtered during the import.
"""

import os
import shutil
import subprocess
import sys
import typing

LEVEL = "TF_CPP_MIN_LOG_LEVEL"
# An INFO line of absl's log (I0000 …), its continuation, and the warning printed before it.
NOISE = (
    r"^I[0-9]{4} [0-9:.]+ +[0-9]+ [A-Za-z0-9_.]+:[0-9]+\] "
    r"|^WARNING: All log messages before absl::InitializeLog\(\) is called are written to STDERR"
    r"|^To enable the following instructions: "
)


def import_tensorflow() -> None:
    """Imports TensorFlow, before any module that needs it, and hides its INFO lines, unless
    TF_CPP_MIN_LOG_LEVEL=0 is in the environment."""
    os.environ.setdefault(LEVEL, "3")  # missing GPUs and failed graph rewrites count as errors
    grep = shutil.which("grep")
    needless = os.environ[LEVEL] == "0" or "tensorflow" in sys.modules
    if needless or grep is None or sys.stderr is None:  # None: standard error is closed
        import tensorflow  # noqa: F401

        return
    sys.stderr.flush()
    screen = os.dup(2)
    # A separate process outlives an import that crashes; in a session of its own, also Ctrl-C.
    with subprocess.Popen(
        [grep, "--text", "--extended-regexp", "--invert-match", NOISE],
        stdin=subprocess.PIPE,
        stdout=screen,
        env={"LC_ALL": "C"},
        start_new_session=True,
    ) as filtered:
        os.dup2(typing.cast(typing.IO, filtered.stdin).fileno(), 2)
        try:
            import tensorflow  # noqa: F401
        finally:
            sys.stderr.flush()
            os.dup2(screen, 2)
            os.close(screen)
