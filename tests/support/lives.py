"""Lives of a node that begin loaded: a process that has imported the node's code forks each of them.

Most of what a start computes is import, in which nothing can be lost. A life is a process of its own as any other: a
child of the test, killed by SIGKILL, its files and its database opened by itself.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

from support.mortal import MortalNode
from support.processes import Program

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class LoadedNode(MortalNode):
    """Begins its lives from a process that :mod:`support.crash_points` keeps loaded."""

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(folder, **options)
        self._loaded: subprocess.Popen[str] | None = None

    def __exit__(self, *raised: object) -> None:
        try:
            super().__exit__(*raised)
        finally:
            if self._loaded is not None:
                self._loaded.communicate()

    def launch(self) -> None:
        """As any node, but that nothing is imported."""
        if self._loaded is None:
            self._loaded = subprocess.Popen(
                [*self.program, "--lives"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                env={**os.environ, **self.environment},
            )  # fmt: skip
        self._program = _Life(self._loaded, ["serve", "--config", str(self.config)], self.folder / "node.log")


class _Life(Program):
    def __init__(self, loaded: subprocess.Popen[str], arguments: Sequence[str], log: Path) -> None:
        assert loaded.stdin is not None
        assert loaded.stdout is not None
        self.log = log
        self._output = log.open("ab")
        loaded.stdin.write(json.dumps({"arguments": arguments, "log": str(log)}) + "\n")
        loaded.stdin.flush()
        self._process = _Adopted(int(loaded.stdout.readline()))  # type: ignore[assignment]


class _Adopted:
    """What `Program` needs of a `Popen`, of a process that somebody else began (`processes.adopt_orphans`)."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit status, None while it runs."""
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float = 60) -> int:
        """Its exit status. Raises subprocess.TimeoutExpired."""
        deadline = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired([str(self.pid)], timeout)
            time.sleep(0.001)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        """To it alone."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)
