"""Which answers of a destination are refusals of a form, and which are not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from pydicom import Dataset, FileMetaDataset, dcmwrite
from sqlalchemy import select
from support import dcmtk
from support.chest import write_chest
from support.node import archive, modality
from support.pacs import Attempt, Fault, Refuse
from support.rows import digest_of, job_over, must_lease
from support.waiting import eventually, stays

from radnode.config.peers import Peer
from radnode.node.alarms import Alarms
from radnode.node.delivery.fallback import Fallback
from radnode.node.delivery.outages import Outages
from radnode.node.delivery.sender import Sender
from radnode.node.observability import Metrics
from radnode.node.service import utc_now
from radnode.pipelines.forms import Wanted, send_order
from radnode.storage import jobs, results
from radnode.storage.database import Database
from radnode.storage.files import FileStore
from radnode.storage.results import NewResultObject
from radnode.storage.tables import DeliveryRow, ResultObjectRow, RewriteRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from support.node import NodeProcess
    from support.pacs import StandInPacs

EXPLICIT = "1.2.840.10008.1.2.1"
CLASSES = {
    "LABELMAP": "1.2.840.10008.5.1.4.1.1.66.7",
    "SEG": "1.2.840.10008.5.1.4.1.1.66.4",
    "TID1500": "1.2.840.10008.5.1.4.1.1.88.34",
    "SC": "1.2.840.10008.5.1.4.1.1.7",
}


class Bench:
    """A sender on real tables and files, without workers: what is to be written again stays in the table."""

    def __init__(self, folder: Path, pacs: StandInPacs, *forms: str) -> None:
        self.database = Database(f"sqlite:///{folder / 'radnode.db'}")
        self.database.upgrade()
        self.store = FileStore(folder / "data", reserve_bytes=1)
        self.store.self_test()
        self.alarms = Alarms(utc_now)
        self.peer = Peer(name="PACS", ae_title=pacs.ae_title, host="127.0.0.1", port=pacs.port, receives=True,
                         result_forms=forms)
        self.sender = Sender(
            database=self.database, store=self.store, own_ae_title="RADNODE", peers=lambda: {"PACS": self.peer},
            fallback=Fallback(database=self.database, now=utc_now, alarms=self.alarms, on_rewrite=lambda: None),
            outages=Outages(), now=utc_now, alarms=self.alarms, metrics=Metrics(),
            on_sent=lambda: None,
        )
        self._folder = folder

    def produce(self, *names: str, findings: str | None = "findings") -> None:
        """A job that ended with these objects for the destination."""
        job_over(self.database, 1, key="job")
        job = must_lease(self.database)
        with self.database.begin() as session:
            jobs.produced(
                session, job.job_id, job.token, objects=[self.written(name) for name in names],
                destinations={"PACS": names}, report={}, now=utc_now(),
                findings_digest=digest_of(findings) if findings else None,
            )

    def written(self, name: str) -> NewResultObject:
        """A small object of that form, kept."""
        form = Wanted.parse(name).form
        result = Dataset()
        result.SOPClassUID, result.SOPInstanceUID = CLASSES[form], f"1.2.3.{send_order(name)}.{len(name)}"
        result.StudyInstanceUID = result.SeriesInstanceUID = "1.2.3"
        result.file_meta = FileMetaDataset()
        result.file_meta.TransferSyntaxUID = EXPLICIT
        path = self._folder / "result.dcm"
        dcmwrite(path, result, enforce_file_format=True)
        digest = digest_of(name)
        self.store.keep(path, digest, area="results")
        path.unlink()
        return NewResultObject(
            name=name, form=form, order=send_order(name), sop_class_uid=result.SOPClassUID,
            sop_instance_uid=result.SOPInstanceUID, series_instance_uid="1.2.3", transfer_syntax_uid=EXPLICIT,
            digest=digest, size_bytes=1, references=[],
        )

    def deliveries(self) -> dict[str, Any]:
        """Name -> row."""
        with self.database.read() as session:
            rows = session.execute(
                select(ResultObjectRow.name, DeliveryRow).join(
                    DeliveryRow, DeliveryRow.result_object_id == ResultObjectRow.id
                )
            ).all()
        return {row[0]: row[1] for row in rows}

    def states(self) -> dict[str, str]:
        """Name -> state."""
        return {name: row.state for name, row in self.deliveries().items()}

    def remembered(self) -> list[str]:
        """Refused forms."""
        with self.database.read() as session:
            return [each.form for each in results.all_refusals(session)]

    def rewrites(self) -> Sequence[RewriteRow]:
        """What is to be written again."""
        with self.database.read() as session:
            return session.scalars(select(RewriteRow)).all()


@pytest.fixture
def bench(tmp_path: Path, pacs: StandInPacs) -> Iterator[Bench]:
    made = Bench(tmp_path, pacs, "LABELMAP", "TID1500")
    yield made
    made.database.close()


def _refuse(pacs: StandInPacs, form: str, status: int) -> None:
    pacs.plan = lambda attempt: Refuse(status) if attempt.sop_class_uid == CLASSES[form] else None


def test_what_becomes_ready_while_an_association_is_open_is_not_refused_because_it_was_not_proposed(
    bench: Bench, pacs: StandInPacs
) -> None:
    """What is written instead of a refused form appears just then."""

    def another_appears(attempt: Attempt) -> Fault | None:
        if attempt.sop_class_uid == CLASSES["LABELMAP"]:
            with bench.database.begin() as session:
                results.record(session, 1, [replace(bench.written("SEG"), order=7)], {"PACS": ["SEG"]}, utc_now())
        return None

    pacs.plan = another_appears
    bench.produce("LABELMAP")
    while bench.sender.send_due():
        pass
    assert bench.states() == {"LABELMAP": "SENT", "SEG": "SENT"}
    assert bench.remembered() == []


@pytest.mark.catalogue("R3")
@pytest.mark.parametrize("status", [0xA700, 0x0110, 0x0213])
def test_a_transient_failure_is_no_refusal(bench: Bench, pacs: StandInPacs, status: int) -> None:
    _refuse(pacs, "LABELMAP", status)
    bench.produce("LABELMAP")
    bench.sender.send_due()
    assert bench.states() == {"LABELMAP": "WAITING"}
    assert bench.remembered() == []
    assert bench.rewrites() == []


@pytest.mark.catalogue("R2")
def test_a_refused_class_is_remembered_and_the_alarm_says_what_is_sent_instead(
    bench: Bench, pacs: StandInPacs
) -> None:
    _refuse(pacs, "LABELMAP", 0x0122)
    bench.produce("LABELMAP", "TID1500+LABELMAP")
    bench.sender.send_due()
    assert bench.states() == {"LABELMAP": "REPLACED", "TID1500+LABELMAP": "REPLACED"}
    assert bench.remembered() == ["LABELMAP"]
    (alarm,) = bench.alarms.raised()
    assert "PACS refused LABELMAP" in alarm.text
    assert "SEG" in alarm.text


def test_without_kept_findings_the_delivery_is_dead_and_says_so(bench: Bench, pacs: StandInPacs) -> None:
    _refuse(pacs, "LABELMAP", 0x0122)
    bench.produce("LABELMAP", findings=None)
    bench.sender.send_due()
    assert bench.states() == {"LABELMAP": "DEAD"}
    assert "findings are not kept" in bench.deliveries()["LABELMAP"].reason


@pytest.mark.catalogue("R4")
def test_a_form_that_nothing_can_replace_is_dead(bench: Bench, pacs: StandInPacs) -> None:
    bench.peer = bench.peer.model_copy(update={"result_forms": ("SC",)})

    _refuse(pacs, "SC", 0xC000)
    bench.produce("SC")
    bench.sender.send_due()
    assert bench.states() == {"SC": "DEAD"}
    assert bench.rewrites() == []


def test_a_form_that_is_known_to_be_refused_is_no_replacement(bench: Bench, pacs: StandInPacs) -> None:
    with bench.database.begin() as session:
        results.remember_refusal(session, "PACS", "SEG", bench.peer.digest, "no context", utc_now())
    _refuse(pacs, "LABELMAP", 0x0122)
    bench.produce("LABELMAP", "TID1500+LABELMAP")
    bench.sender.send_due()
    (rewrite,) = bench.rewrites()
    assert (rewrite.names, rewrite.instead) == (["SC", "TID1500"], "SC")


@pytest.mark.catalogue("R2")
@pytest.mark.parametrize("status", [0xA900, 0xC000])
def test_one_object_that_is_not_understood_is_replaced_but_its_form_is_offered_again(
    bench: Bench, pacs: StandInPacs, status: int
) -> None:
    _refuse(pacs, "LABELMAP", status)
    bench.produce("LABELMAP")
    bench.sender.send_due()
    assert bench.states() == {"LABELMAP": "REPLACED"}
    assert len(bench.rewrites()) == 1
    assert bench.remembered() == []
    assert bench.alarms.raised() == []


def test_what_replaces_a_form_that_is_no_longer_listed_is_written_all_the_same(
    bench: Bench, pacs: StandInPacs
) -> None:
    bench.produce("LABELMAP")
    bench.peer = bench.peer.model_copy(update={"result_forms": ("TID1500",)})
    _refuse(pacs, "LABELMAP", 0x0122)
    bench.sender.send_due()
    (rewrite,) = bench.rewrites()
    assert rewrite.names == ["SEG", "TID1500+SEG"]


@pytest.mark.catalogue("R2")
@pytest.mark.slow
def test_a_chain_of_refusals_survives_a_node_that_is_killed_again_and_again(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    segmentations = (CLASSES["LABELMAP"], CLASSES["SEG"])
    pacs.plan = lambda attempt: Refuse(0x0122) if attempt.sop_class_uid in segmentations else None
    node = start_node(peers=[archive(pacs.port, result_forms=["LABELMAP", "TID1500"]), modality()])
    series = write_chest(tmp_path / "ct", slices=20)

    def states() -> dict[str, str]:
        return {each["name"]: each["state"] for each in node.timeline(series.study_instance_uid)["deliveries"]}

    dcmtk.dcmsend(node.port, tmp_path / "ct", called="RADNODE")
    eventually(lambda: states().get("LABELMAP") == "REPLACED", within=120, why=lambda: f"{node.jobs()}")
    for wait_s in (0.0, 0.3, 0.7, 1.2, 1.8, 2.5):  # into the start, the writing and the sending
        node.kill()
        node.start()
        stays(lambda: node.running, during=wait_s)
    eventually(lambda: states().get("TID1500") == "SENT", within=120, why=lambda: f"{states()}")
    assert states() == {
        "LABELMAP": "REPLACED", "TID1500+LABELMAP": "REPLACED", "SEG": "REPLACED", "TID1500+SEG": "REPLACED",
        "SC": "SENT", "TID1500": "SENT",
    }
    assert len(pacs.stored(Modality="SR")) == 1
    assert pacs.conflicts == []
