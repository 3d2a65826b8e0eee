"""The threads that decode images, and their behaviour when the interpreter exits."""

import atexit
import functools
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

PARTS = 32  # more than threads, because images differ in cost


@functools.cache
def pool() -> ThreadPoolExecutor:
    """One pool for the whole process: data sets and iterators leave no threads behind.

    PIL and NumPy release the interpreter's lock while they work. A task must not wait for the pool.
    """
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decode")


def for_each_part(work: Callable[[np.ndarray], None], size: int) -> None:
    """Calls work(int64 indices) for all indices 0 … size - 1 in parts, on all threads."""
    parts = np.array_split(np.arange(size), min(size, PARTS))
    try:
        futures = [pool().submit(work, part) for part in parts]
    except RuntimeError:  # the interpreter is exiting and takes no new tasks
        work(np.arange(size))
        return
    for future in futures:
        future.result()


class ExitGate:
    """Keeps tf.data's read-ahead threads out of Python while the interpreter exits.

    A thread that is inside a Python function at exit never returns, and its iterator then waits
    forever. Therefore the exit waits for calls in progress, and later calls return a constant at
    once, until the read-ahead is full. Nothing uses these constants.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._entered = self._left = 0
        self._closing = False
        atexit.register(self._close)

    def __call__(self, work: Callable[[], np.ndarray], instead: Callable[[], np.ndarray]):
        """work(), or instead() if the interpreter is exiting."""
        with self._lock:
            self._entered += 1
        try:
            return instead() if self._closing else work()
        finally:
            with self._lock:
                self._left += 1

    def _close(self) -> None:
        self._closing = True
        before = -1
        while self._left < self._entered or before < self._entered:
            before = self._entered
            time.sleep(0.05)  # long enough for a waiting thread to enter


exit_gate = functools.cache(ExitGate)
