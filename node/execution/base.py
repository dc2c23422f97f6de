"""What runs a job. The node's dispatcher knows this Protocol; a cluster engine can stand behind it as well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from radnode.pipelines.contract import RunReport, WorkOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerNow:
    """A worker process. pid: None while there is none. resident, limit: bytes of memory of its machine.

    host: that machine, where it is another.
    """

    device: str
    pid: int | None
    resident: int
    limit: int
    host: str = ""


class WorkerLost(Exception):
    """The worker died, hung or outgrew its limits while it ran a job; the reason says which."""


class WorkerGone(WorkerLost):
    """The machine of the worker, or what connects it with us, is gone: no fault of the job, which runs again."""


class Executor(Protocol):
    """Runs work orders on a number of slots, one at a time on each."""

    def prepare(self, slot: int, pipelines: Sequence[str]) -> bool:
        """Have the slot's worker load these pipelines if it has not; returns at once. False: it takes no order now."""
        ...

    def execute(
        self, slot: int, order: WorkOrder, on_stage: Callable[[str], None], upcoming: Callable[[], WorkOrder | None]
    ) -> RunReport:
        """Run the order and wait for its report. Raises :class:`WorkerLost`, :class:`WorkerGone`.

        upcoming: asked meanwhile for the order that will probably be next on this slot, so that its images are read
        while the device works. A hint: nothing follows from it if another order comes.
        """
        ...

    def cancel(self, slot: int, reason: str) -> None:
        """End what runs on the slot; its :meth:`execute` raises :class:`WorkerLost` with this reason."""
        ...

    def workers(self) -> list[WorkerNow]:
        """Each slot's worker as it is now."""
        ...

    def close(self) -> None:
        """End all workers."""
        ...
