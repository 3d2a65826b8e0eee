"""Ctrl-C and SIGTERM as a wish to stop, for work that saves or tidies up first."""

from __future__ import annotations

import signal


class Signals:
    """While it is open, SIGTERM and Ctrl-C are noted instead of killing; a second one kills."""

    def __init__(self):
        self.received: signal.Signals | None = None

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
