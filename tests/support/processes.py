"""Programs started by tests: found or missed loudly, ended surely, and none left behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def required(program: str) -> str:
    """Absolute path of a peer's program; without it the test skips at the desk and fails where CI=true."""
    found = program if Path(program).is_file() else shutil.which(program)
    if found is None:
        missing(f"{program} is not installed; run deploy/peers/install.sh")
    return str(found)


def missing(reason: str) -> None:
    """Skip at the desk, fail in CI: a peer that is not there must not look like a pass."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


class Program:
    """A long-running program with its output in a file."""

    def __init__(
        self, command: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.log = log
        self._output = log.open("ab")
        self._process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )

    @property
    def pid(self) -> int:
        """Process id, also after the end."""
        return self._process.pid

    @property
    def ended(self) -> int | None:
        """Exit status, None while it runs."""
        return self._process.poll()

    def send_signal(self, number: signal.Signals) -> None:
        """Signal this process alone."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, as a power cut would: no clean-up of its own."""
        self._process.kill()
        self._process.wait()
        self._output.close()

    def stop(self, within: float = 20) -> int:
        """SIGTERM; when it does not obey in time SIGABRT, at which Python says where it is, and SIGKILL.

        Returns the exit status.
        """
        if self._process.poll() is None:
            for number, patience in ((signal.SIGTERM, within), (signal.SIGABRT, 5.0), (signal.SIGKILL, 30.0)):
                self._process.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(patience)
                    break
        self._output.close()
        return self._process.returncode

    def tail(self, lines: int = 40) -> str:
        """The last lines of its output, for the message of a failed test."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def where(self) -> str:
        """Where each of its threads was when it was told to say so (SIGABRT), without the frames of libraries."""
        said = self.tail(1000).partition("Fatal Python error")[2].splitlines()
        return "\n".join(
            line for line in said if "site-packages" not in line and not line.startswith("Extension modules")
        )


def adopt_orphans() -> None:
    """Children of a killed child become ours, so that `children` sees them (prctl(2))."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children() -> dict[int, str]:
    """Live direct children of this process: process id to command line (proc_pid_task(5))."""
    found = {}
    for listed in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):  # the thread ended while we looked
            for pid in listed.read_text().split():
                with contextlib.suppress(OSError):  # the child did
                    if alive(int(pid)):
                        command = Path("/proc", pid, "cmdline").read_bytes()
                        found[int(pid)] = command.replace(b"\0", b" ").decode(errors="replace").strip()
    return found


def left_behind(before: Mapping[int, str], within: float = 30) -> dict[int, str]:
    """Children that were not there before and do not end by themselves in time: killed and returned."""
    deadline = time.monotonic() + within
    while new := {
        pid: command for pid, command in children().items() if pid not in before and _foreign(command)
    }:
        if time.monotonic() > deadline:
            for pid in new:
                os.kill(pid, signal.SIGKILL)
            return new
        time.sleep(0.05)
    return {}


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not (an adopted orphan stays one until this process ends)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _foreign(command: str) -> bool:
    """multiprocessing keeps one helper per interpreter on purpose; it is not a leak."""
    return "multiprocessing.resource_tracker" not in command and "multiprocessing.forkserver" not in command
