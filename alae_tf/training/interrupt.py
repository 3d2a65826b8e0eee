"""Reasons to stop a run early: a signal, or --max_hours."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

OVER_TIME = 75  # exit code: unfinished, the same command continues (EX_TEMPFAIL of sysexits.h)


class Interrupt:
    """A context in which the first SIGTERM or Ctrl-C is only recorded, and the second ends the
    process at once, with exit code 128 + the signal's number.

    A thread reads the signals. Python itself would handle them only after the current call of
    TensorFlow, and while graphs are built or compiled a single call can take minutes.

    `max_hours`: hours after which the run should also stop; 0: never. `on_first` and `on_second`
    are called in the thread when the first and the second signal arrive.
    """

    def __init__(self, max_hours: float = 0.0):
        self.received: signal.Signals | None = None
        self.on_first: Callable[[], object] = lambda: None
        self.on_second: Callable[[], object] = lambda: None
        self._max_hours = max_hours
        self._deadline = time.monotonic() + 3600 * (max_hours or float("inf"))

    def __enter__(self):
        read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._before_fd = signal.set_wakeup_fd(self._write)
        numbers = (signal.SIGTERM, signal.SIGINT)
        self._before = {number: signal.signal(number, lambda *_: None) for number in numbers}
        threading.Thread(target=self._listen, args=(read,), daemon=True).start()
        return self

    def _listen(self, read: int) -> None:
        with open(read, "rb", buffering=0) as pipe:
            while byte := pipe.read(1):  # the number of a signal; nothing once the pipe is closed
                if byte[0] not in self._before:
                    continue
                if self.received is not None:
                    with contextlib.suppress(OSError):  # the reader of stdout is gone
                        self.on_second()
                        sys.stdout.flush()
                    os._exit(128 + byte[0])
                self.received = signal.Signals(byte[0])
                with contextlib.suppress(OSError):
                    self.on_first()

    def __exit__(self, *error):
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._before_fd)
        os.close(self._write)

    @property
    def asked(self) -> bool:
        return self.received is not None or time.monotonic() > self._deadline

    @property
    def reason(self) -> str:
        """Why the run stopped, in words."""
        if self.received is not None:
            return f"stopped by {self.received.name}"
        if self.asked:
            return f"stopped after --max_hours={self._max_hours:g}"
        return "stopped with another worker"

    @property
    def exit_code(self) -> int:
        """128 + n after signal n, else `OVER_TIME`."""
        return OVER_TIME if self.received is None else 128 + self.received
