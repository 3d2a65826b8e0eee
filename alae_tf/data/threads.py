"""The threads that decode images, and how they let the interpreter exit."""

import atexit
import functools
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

PARTS = 32  # more than threads, since images differ in cost


@functools.cache
def pool() -> ThreadPoolExecutor:
    """One pool for the whole process, so that no data set or iterator ever leaves threads behind.

    PIL and NumPy release the interpreter's lock while they work. A task must not itself wait for
    the pool.
    """
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decode")


def for_each_part(work: Callable[[np.ndarray], None], size: int) -> None:
    """Calls work(int64 [some of 0 … size - 1]) until all have had their turn, on all threads."""
    parts = np.array_split(np.arange(size), min(size, PARTS))
    try:
        futures = [pool().submit(work, part) for part in parts]
    except RuntimeError:  # the interpreter is exiting and takes no new tasks
        work(np.arange(size))
        return
    for future in futures:
        future.result()


class ExitGate:
    """Keeps tf.data's read-ahead threads out of Python while the interpreter ends.

    A thread caught inside a Python function there never returns, and the iterator that it works
    for then waits for it forever. So from the exit handlers on a constant takes the place of the
    work (nobody will look at it; it is over at once, so the read-ahead fills up and comes to
    rest), and the exit waits for the calls under way.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._entered = self._left = 0
        self._closing = False
        atexit.register(self._close)

    def __call__(self, work: Callable[[], np.ndarray], instead: Callable[[], np.ndarray]):
        """work(), or instead() once the interpreter is exiting."""
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
            time.sleep(0.05)  # long enough for a thread that waits to enter


exit_gate = functools.cache(ExitGate)
