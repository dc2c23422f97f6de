"""The pipes to a process that is fed and answers line by line."""

from __future__ import annotations

import contextlib
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import queue
    import subprocess


def pump(stdout: IO[str], lines: queue.SimpleQueue[str | None]) -> None:
    """Every line that the process says, and None at the end; for a thread of its own.

    Who reads closes: another thread that closes waits for the read, and so for whoever can still write.
    """
    with stdout:
        for line in stdout:
            lines.put(line)
    lines.put(None)


def close_input(process: subprocess.Popen[str]) -> None:
    """Of a process that has ended."""
    if process.stdin is not None:
        with contextlib.suppress(OSError):  # closing writes what a dead process never took
            process.stdin.close()
