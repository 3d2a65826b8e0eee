"""Reasons to stop a run early: a signal, or the hours that it may take."""

from __future__ import annotations

import signal
import time

OVER_TIME = 75  # exit code: not finished, the same command goes on (EX_TEMPFAIL of sysexits.h)


class Interrupt:
    """While it is open, SIGTERM and Ctrl-C are noted instead of killing; a second one kills.

    Args:
        max_hours: after which the run is to stop too; 0: never.

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
        """Whether the run is to stop."""
        return self.received is not None or time.monotonic() > self._deadline

    @property
    def reason(self) -> str:
        """Why the run stopped, for people."""
        if self.received is not None:
            return f"stopped by {self.received.name}"
        if time.monotonic() > self._deadline:
            return f"stopped after --max_hours={self._max_hours:g}"
        return "stopped with another worker"

    @property
    def exit_code(self) -> int:
        """128 + n after signal n, else `OVER_TIME`."""
        return OVER_TIME if self.received is None else 128 + self.received
