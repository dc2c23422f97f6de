"""What a job was run for is what its destinations get, whatever is learnt about them meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select
from support.rows import job_over

from radnode.config.peers import Peer
from radnode.node.execution.dispatcher import Dispatcher, Slot
from radnode.node.observability import Metrics
from radnode.pipelines import registry
from radnode.pipelines.contract import ProducedObject, RunReport, RunState
from radnode.pipelines.forms import Wanted, send_order
from radnode.storage import results
from radnode.storage.database import Database
from radnode.storage.files import FileStore
from radnode.storage.tables import DeliveryRow, JobRow, ResultObjectRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from radnode.node.execution.base import WorkerNow
    from radnode.pipelines.contract import WorkOrder

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PEER = Peer(name="PACS", ae_title="PACS", host="127.0.0.1", port=104, receives=True,
            result_forms=("LABELMAP", "TID1500"))


class SampleExecutor:
    """Writes a file of a few bytes for every object that is ordered. `during` happens while the job runs."""

    def __init__(self) -> None:
        self.during: Callable[[], None] = lambda: None
        self.state = RunState.FINDINGS
        self.orders: list[WorkOrder] = []
        self.upcoming: list[WorkOrder | None] = []

    def prepare(self, slot: int, pipelines: Sequence[str]) -> bool:
        return True

    def workers(self) -> list[WorkerNow]:
        return []

    def cancel(self, slot: int, reason: str) -> None: ...

    def close(self) -> None: ...

    def execute(
        self, _slot: int, order: WorkOrder, _on_stage: object, upcoming: Callable[[], WorkOrder | None]
    ) -> RunReport:
        self.orders.append(order)
        self.during()
        self.upcoming = [upcoming(), upcoming()]
        folder = Path(order.output_folder)
        for name in (*order.forms, "findings"):
            (folder / name).write_bytes(name.encode())
        return RunReport(
            job_key=order.job_key, state=self.state, objects=tuple(_sample(folder, name) for name in order.forms),
            findings=str(folder / "findings"), reason="no lung" if self.state is RunState.NOT_PROCESSED else "",
        )


def _sample(folder: Path, name: str) -> ProducedObject:
    return ProducedObject(
        name=name, form=Wanted.parse(name).form, order=send_order(name), path=str(folder / name), sop_class_uid="1.2",
        sop_instance_uid=f"1.9.{send_order(name)}", series_instance_uid="1.9", transfer_syntax_uid="1.2", references=(),
    )


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'radnode.db'}")
    opened.upgrade()
    yield opened
    opened.close()


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    made = FileStore(tmp_path / "data", reserve_bytes=1)
    made.self_test()
    return made


def _run(database: Database, store: FileStore, tmp_path: Path, executor: SampleExecutor, peer: Peer = PEER) -> None:
    dispatcher = Dispatcher(
        database=database, store=store, executor=executor, peers=lambda: {"PACS": peer},
        manifests=lambda: registry.installed().manifests, wanted=list, work_folder=tmp_path / "work",
        content_qualification="RESEARCH", report_language="zh", node_version="0", now=lambda: NOW, metrics=Metrics(),
        on_produced=lambda: None, worker_prefix="test",
    )
    assert dispatcher.run_next(Slot(number=0, device="cpu"))


def _queued(database: Database) -> dict[str, str]:
    with database.read() as session:
        rows = session.execute(
            select(ResultObjectRow.name, DeliveryRow.state)
            .join(DeliveryRow, DeliveryRow.result_object_id == ResultObjectRow.id)
        )
        return {row.name: row.state for row in rows}


def test_a_form_that_is_refused_while_a_job_runs_costs_that_job_no_result(
    database: Database, store: FileStore, tmp_path: Path
) -> None:
    """Else the job would be written in one form and queued in another, and the destination would get nothing."""

    def refuse() -> None:
        with database.begin() as session:
            results.remember_refusal(session, "PACS", "LABELMAP", PEER.digest, "no context", NOW)

    job_over(database, 1)
    executor = SampleExecutor()
    executor.during = refuse
    _run(database, store, tmp_path, executor)
    assert _queued(database) == {"LABELMAP": "WAITING", "TID1500+LABELMAP": "WAITING"}


def test_a_job_after_a_refusal_is_written_rightly_at_once(
    database: Database, store: FileStore, tmp_path: Path
) -> None:
    with database.begin() as session:
        results.remember_refusal(session, "PACS", "LABELMAP", PEER.digest, "no context", NOW)
    job_over(database, 1)
    _run(database, store, tmp_path, SampleExecutor())
    assert _queued(database) == {"SEG": "WAITING", "TID1500+SEG": "WAITING"}


def test_what_was_found_is_kept_under_its_digest(database: Database, store: FileStore, tmp_path: Path) -> None:
    job_over(database, 1)
    _run(database, store, tmp_path, SampleExecutor())
    with database.read() as session:
        digest = session.scalar(select(JobRow.findings_digest))
    assert digest is not None
    assert store.path(digest, "results").read_bytes() == b"findings"


def test_a_study_that_is_not_processed_is_answered_to_every_destination_that_shows_it(
    database: Database, store: FileStore, tmp_path: Path
) -> None:
    job_over(database, 1)
    executor = SampleExecutor()
    executor.state = RunState.NOT_PROCESSED
    peer = PEER.model_copy(update={"result_forms": ("NOT-PROCESSED",)})
    _run(database, store, tmp_path, executor, peer)
    assert _queued(database) == {"NOT-PROCESSED": "WAITING"}
    with database.read() as session:
        assert session.scalar(select(JobRow.state)) == "NOT_PROCESSED"


def test_a_worker_is_told_the_language_of_reports_and_the_job_remembers_it(
    database: Database, store: FileStore, tmp_path: Path
) -> None:
    job_over(database, 1)
    executor = SampleExecutor()
    _run(database, store, tmp_path, executor)
    assert [order.language for order in executor.orders] == ["zh"]
    with database.read() as session:
        assert session.scalars(select(JobRow.report)).one()["language"] == "zh"


def test_a_worker_is_told_what_comes_next_and_that_job_stays_as_it_is(
    database: Database, store: FileStore, tmp_path: Path
) -> None:
    """Its worker's death is then no try of it, and a more urgent one still comes first."""
    (first, second) = (job_over(database, number, key=f"job {number}") for number in (1, 2))
    executor = SampleExecutor()
    _run(database, store, tmp_path, executor)
    upcoming, again = executor.upcoming
    assert upcoming is not None
    assert (upcoming.job_key, upcoming.pipeline) == ("job 2", executor.orders[0].pipeline)
    assert [each.sop_instance_uid for each in upcoming.instances] == ["1.2.3.2"]
    assert again is None, "it is hinted at once, and to one slot"
    with database.read() as session:
        row = session.get_one(JobRow, second)
        assert (row.state, row.attempts, row.token, row.crashes, row.lease_until) == ("WAITING", 0, 0, 0, None)
        assert session.get_one(JobRow, first).state == "PRODUCED"
