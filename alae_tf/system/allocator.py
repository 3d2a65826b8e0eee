"""malloc, set for tensors: large blocks are kept for the next iteration."""

import ctypes
import os

M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8  # of glibc's malloc.h
LARGE = 2**31 - 1


def keep_memory() -> None:
    """Makes glibc keep freed memory, in one arena, for the process to reuse.

    By default, glibc returns every block of 32 MiB or more to the system when it is freed, and gets
    new, zeroed pages for the next block: hundreds of thousands of page faults in an iteration. Call
    this before threads allocate memory. It does nothing with other C libraries, or if the user has
    set a MALLOC_… variable or GLIBC_TUNABLES.

    M_MMAP_THRESHOLD would do the same, but older versions of glibc refuse more than 32 MiB, and
    TensorFlow's GeneratorDataset lowers it on Python 3.11 (`alae_tf.training.feed`).
    """
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return
    mallopt(M_ARENA_MAX, 1)
    mallopt(M_TRIM_THRESHOLD, LARGE)
    mallopt(M_MMAP_MAX, 0)
