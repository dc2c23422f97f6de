"""Worker processes on this machine, one for each configured device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radnode.node.execution.base import WorkerNow
from radnode.node.execution.worker_process import WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from radnode.config.settings import Worker
    from radnode.pipelines.contract import RunReport, WorkOrder


class LocalExecutor:
    """An :class:`~radnode.node.execution.base.Executor` whose slots are worker processes of this machine."""

    def __init__(self, workers: Sequence[Worker], models: Path | None = None) -> None:
        self._processes = [
            WorkerProcess(
                device=worker.device,
                memory_limit_bytes=worker.memory_limit,
                time_limit_s=worker.time_limit_s,
                models=models,
            )
            for worker in workers
        ]

    def prepare(self, slot: int, pipelines: Sequence[str]) -> bool:
        """Start the slot's process if there is none, and let it load these pipelines; it is always free then."""
        self._processes[slot].prepare(pipelines)
        return True

    def execute(
        self, slot: int, order: WorkOrder, on_stage: Callable[[str], None], upcoming: Callable[[], WorkOrder | None]
    ) -> RunReport:
        """Run the order on the slot's process. Raises :class:`~radnode.node.execution.base.WorkerLost`."""
        return self._processes[slot].execute(order, on_stage, upcoming)

    def cancel(self, slot: int, reason: str) -> None:
        """Kill the slot's process; the next order starts a new one."""
        self._processes[slot].kill(reason)

    def workers(self) -> list[WorkerNow]:
        """Each slot's process as it is now."""
        return [
            WorkerNow(device=each.device, pid=each.pid, resident=each.resident_bytes, limit=each.memory_limit_bytes)
            for each in self._processes
        ]

    def close(self) -> None:
        """Kill all processes."""
        for process in self._processes:
            process.kill("the node is stopping")
            process.stop()
