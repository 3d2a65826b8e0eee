"""Trained models as files for others to run: SavedModel, TFLite and ONNX.

`python -m export --help`; nothing here imports TensorFlow before it is needed.
"""

import os
import sys
from collections.abc import Callable

QUANTIZATIONS = ("none", "float16", "dynamic_int8", "int8")  # of TFLite files


class ExportError(ValueError):
    """Something the user can mend; the message names the flag or file and what would be right."""


def guarded(command: str, work: Callable[[], int | None]) -> int:
    """Runs a command's work; what users can mend is printed in one message.

    Returns:
        Exit code: 0 (or what `work` returns) done, 1 something is at fault, 130 stopped by Ctrl-C.
    """
    try:
        return work() or 0
    except ExportError as error:
        print(f"{command}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print(f"{command}: stopped.", file=sys.stderr)
        return 130
