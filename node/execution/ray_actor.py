"""What Ray keeps warm on one of its machines: one worker process, the same as on a single machine.

What passes is lines of JSON, as between a node and its own workers: orders with paths in the shared data folder,
stages and reports. No image and no result goes through Ray.
"""

from __future__ import annotations

import json
import os
import platform
import queue
import threading
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import radnode
from radnode.node.execution.base import WorkerLost
from radnode.node.execution.worker_process import WorkerProcess
from radnode.node.starting import IDENTITY
from radnode.pipelines.contract import WorkOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

AT_ONCE = 4
"""Calls: an order, a look, a hint and the end of an order."""


class RayWorker:
    """A threaded Ray actor. One order at a time; the other calls are answered meanwhile."""

    def __init__(
        self, *, device: str, memory_limit_bytes: int, time_limit_s: float, models: str, data: str, identity: str,
        version: str,
    ) -> None:
        """identity: of the node, as in its data folder. Raises RuntimeError where this machine cannot work for it."""
        if why_not := unfit(Path(data), identity, version):
            raise RuntimeError(why_not)
        self._process = WorkerProcess(
            device=device, memory_limit_bytes=memory_limit_bytes, time_limit_s=time_limit_s, models=Path(models),
        )
        self._hint: WorkOrder | None = None
        self._to_do: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        # A worker ends with the thread that started it, and the threads of Ray's calls come and go.
        threading.Thread(target=self._keep, daemon=True).start()

    def look(self) -> dict[str, Any]:
        """Where this is, and what its process holds."""
        return {"host": platform.node(), "pid": self._process.pid, "resident": self._process.resident_bytes}

    def prepare(self, pipelines: Sequence[str]) -> None:
        """Start the process if there is none, and let it load these pipelines; does not wait for it."""
        self._to_do.put(lambda: self._process.prepare(pipelines))

    def execute(self, order: str) -> Iterator[str]:
        """{"stage": name} as the run goes on, then {"report": RunReport} or {"lost": reason}."""
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._hint = None
        self._to_do.put(lambda: self._execute(WorkOrder.from_json(order), lines))
        while (line := lines.get()) is not None:
            yield line

    def hint(self, order: str) -> None:
        """What will probably come next here."""
        self._hint = WorkOrder.from_json(order)

    def end(self, reason: str) -> None:
        """End what runs; its lines end with this reason."""
        self._process.kill(reason)

    def _keep(self) -> None:
        try:
            while True:
                self._to_do.get()()
        except Exception:  # noqa: BLE001 - nothing would ever be answered: another actor is made
            traceback.print_exc()
            os._exit(1)

    def _execute(self, order: WorkOrder, lines: queue.SimpleQueue[str | None]) -> None:
        try:
            report = self._process.execute(
                order, lambda stage: lines.put(json.dumps({"stage": stage})), self._take_hint
            )
            lines.put(json.dumps({"report": asdict(report)}))
        except WorkerLost as lost:
            lines.put(json.dumps({"lost": str(lost)}))
        finally:
            lines.put(None)

    def _take_hint(self) -> WorkOrder | None:
        hint, self._hint = self._hint, None
        return hint


def unfit(data: Path, identity: str, version: str) -> str:
    """Why a worker on this machine could not work for a node; empty if it can."""
    machine = platform.node()
    if version != radnode.__version__:
        return f"{machine} has radnode {radnode.__version__}, the node is {version}; install the same on both"
    try:
        there = (data / IDENTITY).read_text(encoding="ascii")
    except OSError as error:
        return f"{machine} does not see {data}: {error.strerror}; mount the node's data folder there, at the same path"
    if there != identity:
        return f"{data} on {machine} belongs to another node; mount this node's data folder there"
    return ""
