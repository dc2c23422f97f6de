"""A worker keeps the memory of one study for the next.

A study takes hundreds of megabytes in few blocks. By default glibc gives each block back to the system when it is
freed, and the next study faults every page in anew: decoding 300 slices took 0.2 s in memory that was kept and up to
1.4 s in memory that a virtual machine's host had to find first.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

KEPT_BYTES = 2 * 1024**3
"""Resident memory up to which a worker keeps what it has freed."""
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # mallopt(3)


def keep_freed() -> None:
    """From now on freed blocks stay in this process (glibc; elsewhere nothing changes)."""
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def give_back() -> None:
    """Between jobs: return freed blocks to the system when the process holds more than it should keep."""
    if _resident_bytes() > KEPT_BYTES:
        trim()


def trim() -> None:
    """Return freed blocks to the system (glibc; elsewhere nothing happens)."""
    if malloc_trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        malloc_trim(0)


def _resident_bytes() -> int:
    """Of this process (proc(5)); 0 where that cannot be told."""
    try:
        fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    except OSError:
        return 0
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
