"""How the C library keeps memory: in a worker that of one study for the next, in a node in one heap.

A study takes hundreds of megabytes in few blocks. By default glibc gives each block back to the system when it is
freed, and the next study faults every page in anew: decoding 300 slices took 0.2 s in memory that was kept and up to
1.4 s in memory that a virtual machine's host had to find first.

A node receives images on many threads for months. By default glibc gives each thread a heap of its own, up to eight a
core, and after the first large buffer was given back keeps the following ones in these heaps: each stays as large as
what it once held, with holes, and the process grows for hours without anything being kept.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

KEPT_BYTES = 2 * 1024**3
"""Resident memory up to which a worker keeps what it has freed."""
LARGE_BYTES = 128 * 1024
"""From which a node returns a buffer to the system when it is freed: glibc's own limit, which it raises by itself."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -3, -4, -8  # mallopt(3)


def keep_freed() -> None:
    """From now on freed blocks stay in this process (glibc; elsewhere nothing changes)."""
    _set({_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: 2**31 - 1})


def hold_together() -> None:
    """One heap for all threads, none for large buffers (glibc; elsewhere nothing changes). To be called before threads
    are started.
    """
    _set({_M_ARENA_MAX: 1, _M_MMAP_THRESHOLD: LARGE_BYTES})


def give_back() -> None:
    """Between jobs: return freed blocks to the system when the process holds more than it should keep."""
    if _resident_bytes() > KEPT_BYTES:
        trim()


def trim() -> None:
    """Return freed blocks to the system (glibc; elsewhere nothing happens)."""
    if malloc_trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        malloc_trim(0)


def _set(options: Mapping[int, int]) -> None:
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        for option, value in options.items():
            mallopt(option, value)


def _resident_bytes() -> int:
    """Of this process (proc(5)); 0 where that cannot be told."""
    try:
        fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    except OSError:
        return 0
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
