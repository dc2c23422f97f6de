"""How the C library keeps memory in a process that receives images on many threads for months.

As it comes, glibc gives each thread a heap of its own, up to eight a core, and after the first large buffer was given
back keeps the following ones in these heaps instead of returning them: each heap is as large as what it once held, with
holes, and the process grows for hours without anything being kept.
"""

from __future__ import annotations

import ctypes

_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
LARGE = 128 * 1024
"""Bytes from which a buffer is returned to the system when it is given back; glibc's own, which it raises by itself."""


def hold_together() -> None:
    """One heap for all threads, none for large buffers (mallopt(3)). Call it before threads are started; where the C
    library is another than glibc, nothing is changed.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_M_ARENA_MAX, 1)
        library.mallopt(_M_MMAP_THRESHOLD, LARGE)
