"""Reasons to stop a run early: a signal, or --max_hours."""

from __future__ import annotations

import signal
import time

OVER_TIME = 75  # exit code: unfinished, the same command continues (EX_TEMPFAIL of sysexits.h)


class Interrupt:
    """A context in which a first SIGTERM or Ctrl-C is only recorded; a second has its usual effect.

    Args:
        max_hours: hours after which the run should also stop; 0: never.

    Attributes:
        received: the signal, or None.
    """

    def __init__(self, max_hours: float = 0.0):
        self.received: signal.Signals | None = None
        self._max_hours = max_hours
        self._deadline = time.monotonic() + 3600 * max_hours if max_hours else float("inf")

    def __enter__(self):
        numbers = (signal.SIGTERM, signal.SIGINT)
        self._before = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def _note(self, number, frame):
        self.received = signal.Signals(number)
        for other, handler in self._before.items():
            signal.signal(other, handler)

    def __exit__(self, *error):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def asked(self) -> bool:
        """Whether the run should stop."""
        return self.received is not None or time.monotonic() > self._deadline

    @property
    def reason(self) -> str:
        """Why the run stopped, in words."""
        if self.received is not None:
            return f"stopped by {self.received.name}"
        if time.monotonic() > self._deadline:
            return f"stopped after --max_hours={self._max_hours:g}"
        return "stopped with another worker"

    @property
    def exit_code(self) -> int:
        """128 + n after signal n, else `OVER_TIME`."""
        return OVER_TIME if self.received is None else 128 + self.received
