"""The pipes to a process that is fed and answers line by line."""

from __future__ import annotations

import contextlib
from typing import IO, TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    import queue
    import subprocess

log = structlog.get_logger(__name__)


def pump(stdout: IO[str], lines: queue.SimpleQueue[str | None]) -> None:
    """Every line that the process says, and None at the end; for a thread of its own.

    Who reads closes: another thread that closes waits for the read, and so for whoever can still write.
    """
    with stdout:
        for line in stdout:
            lines.put(line)
    lines.put(None)


def feed(stdin: IO[str], lines: queue.SimpleQueue[str | None]) -> None:
    """Write lines until None, and close; for a thread of its own, which a process that reads nothing may hold up."""
    with contextlib.suppress(OSError), stdin:  # whoever hears it knows of its end
        while (line := lines.get()) is not None:
            stdin.write(line + "\n")
            stdin.flush()


def relay(stderr: IO[str], event: str, pid: int) -> None:
    """What a process says besides, as events of our log; for a thread of its own."""
    with stderr:  # as `pump`
        for line in stderr:
            if text := line.rstrip():
                log.info(event, pid=pid, text=text)


def close_input(process: subprocess.Popen[str]) -> None:
    """Of a process that has ended."""
    if process.stdin is not None:
        with contextlib.suppress(OSError):  # closing writes what a dead process never took
            process.stdin.close()
