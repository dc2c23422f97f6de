"""A run whose lease is gone is cancelled; a worker whose run has just been recorded is not."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from support.rows import NOW, job_over

from radnode.config.peers import Peer
from radnode.node.execution.dispatcher import Dispatcher, Slot
from radnode.node.observability import Metrics
from radnode.pipelines import registry
from radnode.pipelines.contract import ProducedObject, RunReport, RunState
from radnode.storage import jobs
from radnode.storage.database import Database
from radnode.storage.files import FileStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from radnode.node.execution.base import WorkerNow
    from radnode.pipelines.contract import WorkOrder

PEER = Peer(name="PACS", ae_title="PACS", host="127.0.0.1", port=104, receives=True, result_forms=("SEG",))


class Executor:
    """Computes one object. `during` happens while it does."""

    def __init__(self) -> None:
        self.during: Callable[[], None] = lambda: None
        self.cancelled: list[int] = []

    def prepare(self, slot: int, pipelines: Sequence[str]) -> bool:
        return True

    def workers(self) -> list[WorkerNow]:
        return []

    def cancel(self, slot: int, reason: str) -> None:
        self.cancelled.append(slot)

    def close(self) -> None: ...

    def execute(self, _slot: int, order: WorkOrder, *_: object) -> RunReport:
        self.during()
        made = f"{order.output_folder}/seg"
        with open(made, "wb") as file:  # noqa: PTH123 - the shortest way
            file.write(b"seg")
        produced = ProducedObject(
            name="SEG", form="SEG", order=0, path=made, sop_class_uid="1.2", sop_instance_uid="1.9.1",
            series_instance_uid="1.9", transfer_syntax_uid="1.2", references=(),
        )  # fmt: skip
        return RunReport(job_key=order.job_key, state=RunState.FINDINGS, objects=(produced,))


class Bench:
    """A dispatcher with one job that waits. `on_produced` happens when its result is recorded."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(f"sqlite:///{folder / 'radnode.db'}")
        self.database.upgrade()
        job_over(self.database, 1)
        self.executor = Executor()
        self.on_produced: Callable[[], object] = lambda: None
        self.dispatcher = Dispatcher(
            database=self.database, store=FileStore(folder / "data", 1), executor=self.executor,
            peers=lambda: {"PACS": PEER}, manifests=lambda: registry.installed().manifests, wanted=list,
            work_folder=folder / "work", content_qualification="RESEARCH", report_language="en", node_version="0",
            now=lambda: NOW, metrics=Metrics(), on_produced=lambda: self.on_produced(), worker_prefix="test",
        )  # fmt: skip

    def run(self) -> None:
        """The job, whatever becomes of it."""
        assert self.dispatcher.run_next(Slot(number=0, device="cpu"))

    def lose_the_lease(self) -> None:
        """Somebody else takes the job; the next heartbeat tells."""
        with self.database.begin() as session:
            jobs.reap(session, NOW + timedelta(hours=1))
        self.dispatcher.heartbeat()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.database.close()


def test_a_run_whose_lease_is_gone_is_cancelled(bench: Bench) -> None:
    bench.executor.during = bench.lose_the_lease
    bench.run()
    assert bench.executor.cancelled == [0]


def test_a_worker_whose_run_was_just_recorded_is_left_alone(bench: Bench) -> None:
    """The heartbeat waits for the same database, so it often comes right after the record."""
    bench.on_produced = bench.dispatcher.heartbeat
    bench.run()
    assert bench.executor.cancelled == []
