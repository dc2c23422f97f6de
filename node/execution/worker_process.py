"""One worker process: started by spawn, fed one order per line, watched for time and memory, killed when it must be."""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import signal
import subprocess
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from radnode.node import pipes
from radnode.node.execution.base import WorkerLost
from radnode.pipelines import child
from radnode.pipelines.contract import DEVICE_LOST, RunReport

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from radnode.pipelines.contract import WorkOrder

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 0.2
ASK_FIRST_AFTER_S = 0.4
ENDS_WITHIN_S = 10.0
"""A killed process is gone at once, unless it waits in the driver of a device that hangs."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Foresight:
    """Asks what will probably come next, ever more seldom, until something does: each time is a look at the tables."""

    def __init__(self, upcoming: Callable[[], WorkOrder | None]) -> None:
        self._upcoming = upcoming
        self._pause_s = ASK_FIRST_AFTER_S
        self._ask_at: float = time.monotonic() + self._pause_s

    def ask(self) -> WorkOrder | None:
        """What comes next, once."""
        if time.monotonic() < self._ask_at:
            return None
        hint = self._upcoming()
        self._pause_s *= 2
        self._ask_at = math.inf if hint else time.monotonic() + self._pause_s
        return hint


class WorkerProcess:
    """`python -m radnode.pipelines.runner` and the two pipes to it. Not thread-safe but for :meth:`kill`."""

    def __init__(
        self, *, device: str, memory_limit_bytes: int, time_limit_s: float, models: Path | None = None
    ) -> None:
        self.device = device
        self._models = models
        self.memory_limit_bytes = memory_limit_bytes
        self._time_limit_s = time_limit_s
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._killed_because = ""
        self._prepared: set[str] = set()

    @property
    def pid(self) -> int | None:
        """Of the process, None while there is none."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    @property
    def resident_bytes(self) -> int:
        """What it holds of the machine's memory; 0 without a process."""
        pid = self.pid
        return 0 if pid is None else _resident_bytes(pid)

    def prepare(self, pipelines: Sequence[str]) -> None:
        """Start the process if there is none and have it load pipelines; does not wait for it.

        Where none is wanted there is no process before the first order: images are only received.
        """
        if not pipelines:
            return
        process = self._ensure_running()
        if fresh := [name for name in pipelines if name not in self._prepared]:
            self._prepared.update(fresh)
            with contextlib.suppress(WorkerLost):  # the next order finds it dead and starts another
                _send(process, json.dumps({"warm": fresh, "device": self.device}))

    def execute(
        self, order: WorkOrder, on_stage: Callable[[str], None], upcoming: Callable[[], WorkOrder | None] = lambda: None
    ) -> RunReport:
        """Run one order; starts the process if there is none. Raises :class:`WorkerLost`, and then has no process.

        upcoming: what will probably come next, asked for until it says something; the process reads it ahead.
        """
        process = self._ensure_running()
        deadline = time.monotonic() + self._time_limit_s
        foresight = Foresight(upcoming)
        try:
            self._order(process, order)
            while True:
                line = self._next_line(process, deadline)
                if hint := foresight.ask():
                    _send(process, json.dumps({"next": asdict(hint)}))
                if line is None:
                    continue
                message = json.loads(line)
                if "report" in message:
                    return RunReport.from_json(json.dumps(message["report"]))
                on_stage(str(message["stage"]))
        except WorkerLost:
            self.stop()
            raise

    def _order(self, process: subprocess.Popen[str], order: WorkOrder) -> None:
        """Send an order; a process that hangs before it reads one of many images is ended like any other."""
        watchdog = threading.Timer(self._time_limit_s, self.kill, [self._too_late()])
        watchdog.start()
        try:
            _send(process, order.to_json())
        finally:
            watchdog.cancel()

    def _too_late(self) -> str:
        return f"no result within the time limit of {self._time_limit_s:.0f} s"

    def kill(self, reason: str) -> None:
        """End the process now, from any thread; the running :meth:`execute` raises :class:`WorkerLost`."""
        process = self._process
        if process is not None and process.poll() is None:
            self._killed_because = reason
            _kill(process)

    def stop(self) -> None:
        """End the process and collect it."""
        process, self._process = self._process, None
        if process is None:
            return
        _kill(process)
        try:
            process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            log.error("worker.does_not_end", pid=process.pid, device=self.device)
            return  # closing its input would wait until it reads what was written to it
        pipes.close_input(process)

    def _ensure_running(self) -> subprocess.Popen[str]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.stop()
        self._killed_because = ""
        self._prepared = set()
        self._lines = queue.SimpleQueue()
        store = str(self._models) if self._models else ""
        process = subprocess.Popen(  # noqa: S603 - our own module and a folder from the settings
            child.command("radnode.pipelines.runner", store, str(self.memory_limit_bytes)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self._process = process
        threading.Thread(target=pipes.pump, args=(process.stdout, self._lines), daemon=True).start()
        threading.Thread(target=pipes.relay, args=(process.stderr, "worker.said", process.pid), daemon=True).start()
        log.info("worker.started", pid=process.pid, device=self.device)
        return process

    def _next_line(self, process: subprocess.Popen[str], deadline: float) -> str | None:
        try:
            line = self._lines.get(timeout=LOOK_EVERY_S)
        except queue.Empty:
            self._enforce_limits(process, deadline)
            return None
        if line is None:
            code = process.wait()
            raise WorkerLost(self._killed_because or f"the worker process ended with {_describe_exit(code)}")
        return line

    def _enforce_limits(self, process: subprocess.Popen[str], deadline: float) -> None:
        if time.monotonic() > deadline + ENDS_WITHIN_S:
            raise WorkerLost(f"{self._killed_because}, and its process cannot be ended: its device hangs; look at the "
                             "driver's log, the machine may need a restart")
        if time.monotonic() > deadline:
            self.kill(self._too_late())
        elif _resident_bytes(process.pid) > self.memory_limit_bytes:
            self.kill(f"more than the memory limit of {self.memory_limit_bytes / 1e9:.1f} GB")


def _send(process: subprocess.Popen[str], line: str) -> None:
    if process.stdin is None:
        raise WorkerLost("the worker process has no input")
    try:
        process.stdin.write(line + "\n")
        process.stdin.flush()
    except (BrokenPipeError, OSError) as error:
        raise WorkerLost(f"the worker process takes no orders: {error}") from error


def _kill(process: subprocess.Popen[str]) -> None:
    """It, and what it has started: the process that reads ahead holds memory and the pipe of the errors."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # it began a session of its own


def _describe_exit(code: int) -> str:
    if code == DEVICE_LOST:
        return "its device lost; look at the driver's log"
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0
