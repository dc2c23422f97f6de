"""What was found is written again by whoever found it, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, update
from support.rows import NOW, digest_of, job_over, must_lease, must_lease_delivery, named

from radnode.node.execution.base import WorkerLost
from radnode.node.execution.orders import made_by
from radnode.node.execution.rewriting import Rewriter
from radnode.pipelines import registry
from radnode.pipelines.contract import ProducedObject, RunReport, RunState
from radnode.pipelines.forms import Wanted, send_order
from radnode.storage import jobs, rewrites
from radnode.storage.database import Database
from radnode.storage.files import FileStore
from radnode.storage.tables import DeliveryRow, JobRow, ResultObjectRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from radnode.pipelines.contract import WorkOrder

MAKER = made_by(registry.installed().manifests["ct-lung"], "RESEARCH")


class SampleWorker:
    """Writes a few bytes for every object that is ordered, unless it is told to break."""

    def __init__(self) -> None:
        self.orders: list[WorkOrder] = []
        self.lost = 0
        self.state = RunState.FINDINGS

    def execute(self, order: WorkOrder, _on_stage: Callable[[str], None]) -> RunReport:
        self.orders.append(order)
        if self.lost:
            self.lost -= 1
            raise WorkerLost("signal 9")
        folder = Path(order.output_folder)
        for name in order.forms:
            (folder / name).write_bytes(name.encode())
        return RunReport(
            job_key=order.job_key, state=self.state, reason="" if self.state is RunState.FINDINGS else "it broke",
            objects=tuple(_sample(folder, name) for name in order.forms),
        )

    def kill(self, reason: str) -> None: ...

    def stop(self) -> None: ...


def _sample(folder: Path, name: str) -> ProducedObject:
    return ProducedObject(
        name=name, form=Wanted.parse(name).form, order=send_order(name), path=str(folder / name), sop_class_uid="1.2",
        sop_instance_uid=f"1.8.{send_order(name)}", series_instance_uid="1.8", transfer_syntax_uid="1.2", references=(),
    )


class Bench:
    """A job whose label map was refused."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(f"sqlite:///{folder / 'radnode.db'}")
        self.database.upgrade()
        self.store = FileStore(folder / "data", reserve_bytes=1)
        self.store.self_test()
        self.worker = SampleWorker()
        (folder / "found").write_bytes(b"findings")
        self.store.keep(folder / "found", digest_of("findings"), area="results")
        self.rewriter = Rewriter(
            database=self.database, store=self.store, worker=self.worker,  # type: ignore[arg-type]
            work_folder=folder / "work", manifests=lambda: registry.installed().manifests,
            content_qualification="RESEARCH", node_version="0", now=lambda: NOW, on_rewritten=lambda: None,
        )
        job_over(self.database, 1)
        job = must_lease(self.database)
        with self.database.begin() as session:
            jobs.produced(
                session, job.job_id, job.token, objects=[named("LABELMAP")], destinations={"PACS": ["LABELMAP"]},
                report={"made_by": MAKER}, now=NOW, findings_digest=digest_of("findings"),
            )
        delivery = must_lease_delivery(self.database)
        with self.database.begin() as session:
            rewrites.replace(session, delivery, ["SEG"], instead="SEG", status=0x0122, reason="0x0122", now=NOW)

    def run(self) -> dict[str, tuple[str, str]]:
        """Until nothing waits; name -> state and reason of each delivery."""
        while self.rewriter.step():
            pass
        with self.database.read() as session:
            rows = session.execute(
                select(ResultObjectRow.name, DeliveryRow.state, DeliveryRow.reason)
                .join(DeliveryRow, DeliveryRow.result_object_id == ResultObjectRow.id)
            )
            return {row.name: (row.state, row.reason) for row in rows}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.database.close()


def test_the_kept_findings_are_written_without_the_model(bench: Bench) -> None:
    found = bench.run()
    (order,) = bench.worker.orders
    assert order.forms == ("SEG",)
    assert Path(order.findings).read_bytes() == b"findings"
    assert {name: state for name, (state, _) in found.items()} == {"LABELMAP": "REPLACED", "SEG": "WAITING"}


def test_what_is_written_again_is_in_the_language_of_its_run(bench: Bench) -> None:
    with bench.database.begin() as session:
        session.execute(update(JobRow).values(report={"made_by": MAKER, "language": "zh"}))
    bench.run()
    assert [order.language for order in bench.worker.orders] == ["zh"]


def test_findings_that_are_no_longer_kept_are_said_to_be_missing(bench: Bench) -> None:
    bench.store.remove(digest_of("findings"), area="results")
    state, reason = bench.run()["LABELMAP"]
    assert state == "DEAD"
    assert "findings are no longer kept" in reason
    assert bench.worker.orders == []


@pytest.mark.parametrize("changed", ["version", "model_digest", "content_qualification"])
def test_findings_of_another_maker_are_not_written_under_the_name_of_the_present_one(
    bench: Bench, changed: str
) -> None:
    """A result names the version and the model that found it; after an update that would be a lie."""
    with bench.database.begin() as session:
        session.execute(update(JobRow).values(report={"made_by": {**MAKER, changed: "other"}}))
    state, reason = bench.run()["LABELMAP"]
    assert state == "DEAD"
    assert "wrong maker" in reason
    assert bench.worker.orders == []


def test_one_lost_worker_costs_nothing_and_two_end_it(bench: Bench) -> None:
    bench.worker.lost = 1
    assert bench.run()["SEG"][0] == "WAITING"
    assert len(bench.worker.orders) == 2


def test_a_worker_that_is_lost_twice_is_not_asked_again(bench: Bench) -> None:
    bench.worker.lost = 5
    state, reason = bench.run()["LABELMAP"]
    assert (state, len(bench.worker.orders)) == ("DEAD", 2)
    assert "signal 9" in reason


def test_what_breaks_while_it_is_written_again_is_dead_with_the_reason(bench: Bench) -> None:
    bench.worker.state = RunState.FAILED
    state, reason = bench.run()["LABELMAP"]
    assert state == "DEAD"
    assert "it broke" in reason
