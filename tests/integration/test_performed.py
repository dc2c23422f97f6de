"""MPPS and Instance Availability at our door: kept, answered as the standard wants, and evidence for completeness."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from sqlalchemy import select
from support.outbound import VirtualClock
from support.receiver import Receiver
from support.rows import reception

from radnode.config.loading import parse
from radnode.node.alarms import Alarms
from radnode.node.closing import SeriesCloser
from radnode.node.intake.admission import Admitted
from radnode.node.intake.associations import Associations
from radnode.node.intake.element_walk import Unreadable
from radnode.node.intake.normalized import CommitmentDesk
from radnode.node.observability import Metrics
from radnode.node.performed_sets import AVAILABILITY, MPPS, read
from radnode.node.performing_notes import PerformedNotes
from radnode.storage import catalog, receptions
from radnode.storage.database import Database
from radnode.storage.tables import EventRow, SeriesRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

STUDY, SERIES = "1.2.5.1", "1.2.4.1"
CT = "1.2.840.10008.5.1.4.1.1.2"


class Bench:
    """A receiver that notes what was performed, and the closing of series on the same tables."""

    def __init__(self, folder: Path) -> None:
        self.clock = VirtualClock()
        self.database = Database(f"sqlite:///{folder / 'node.db'}")
        self.database.upgrade()
        notes = PerformedNotes(database=self.database, now=self.clock.now, on_said=lambda: None)
        desk = CommitmentDesk(reported=lambda _, __: 0x0115, requested=lambda _, __: 0x0124, performed=notes.said)
        self.receiver = Receiver(
            folder / "receiver", desk=desk,
            admit=lambda calling, _called, _host, _certificate: Admitted(
                source=calling, is_configured=calling != "STRANGER"
            ),
        )
        self.seconds = 0.0
        configuration = parse("node: {quiet_time_s: 30, hold_after_s: 120}", "a.yaml")
        self.closer = SeriesCloser(
            database=self.database, configuration=lambda: configuration, manifests=dict,
            associations=Associations(on_change=lambda: None), now=self.clock.now, monotonic_s=lambda: self.seconds,
            metrics=Metrics(), alarms=Alarms(self.clock.now), on_jobs=lambda: None, look_again_in=lambda _: None,
        )

    def images(self, *numbers: int) -> None:
        with self.database.transact() as connection:
            recorded = receptions.record(connection, [reception(n, at=self.clock.time) for n in numbers])
        with self.database.begin() as session:
            catalog.store_headers(session, [(each.instance_id, {"Modality": "CT"}) for each in recorded])

    def after(self, seconds: float) -> SeriesRow:
        """The series after so long."""
        self.closer.step()
        self.seconds += seconds
        self.clock.forward(timedelta(seconds=seconds))
        self.closer.step()
        with self.database.read() as session:
            return session.scalars(select(SeriesRow)).one()

    def events(self) -> list[dict[str, Any]]:
        with self.database.read() as session:
            return [row.detail for row in session.scalars(select(EventRow).where(EventRow.kind == "performed"))]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    with made.receiver:
        yield made
    made.database.close()


def references(series: str, numbers: Sequence[int], keyword: str = "ReferencedImageSequence") -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = series
    images = []
    for number in numbers:
        image = Dataset()
        image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = CT, f"1.2.3.{number}"
        images.append(image)
    setattr(item, keyword, images)
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99X", "deeper"
    item.ProtocolName = "CHEST"
    nested = Dataset()
    nested.PerformedProtocolCodeSequence = [code]
    item.PerformedProtocolCodeSequence = [nested]
    return item


def step(state: str, numbers: Sequence[int] = (), *, study: str | None = STUDY) -> Dataset:
    said = Dataset()
    said.PerformedProcedureStepStatus = state
    said.PatientName = "Canary^Coalmine"
    if study:
        scheduled = Dataset()
        scheduled.StudyInstanceUID, scheduled.AccessionNumber = study, "A1"
        said.ScheduledStepAttributesSequence = [scheduled]
    said.PerformedSeriesSequence = [references(SERIES, numbers)] if numbers else []
    return said


def discontinued(numbers: Sequence[int]) -> Dataset:
    said = step("DISCONTINUED", numbers, study=None)
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "110513", "DCM", "Discontinued"
    said.PerformedProcedureStepDiscontinuationReasonCodeSequence = [code]
    return said


def notice(numbers: Sequence[int]) -> Dataset:
    said = Dataset()
    said.StudyInstanceUID = STUDY
    said.ReferencedPerformedProcedureStepSequence = []
    said.ReferencedSeriesSequence = [references(SERIES, numbers, "ReferencedSOPSequence")]
    for each in said.ReferencedSeriesSequence[0].ReferencedSOPSequence:
        each.InstanceAvailability, each.RetrieveAETitle = "ONLINE", "PACS"
    return said


class Scu:
    """A modality, by pynetdicom."""

    def __init__(self, bench: Bench, *, called: str = "CT1", syntax: str = ExplicitVRLittleEndian) -> None:
        self._ae = AE(ae_title=called)
        for service in (MPPS, AVAILABILITY):
            self._ae.add_requested_context(service, syntax)
        self._association = self._ae.associate("127.0.0.1", bench.receiver.port, ae_title="RADNODE")
        assert self._association.is_established

    def __enter__(self) -> Scu:
        return self

    def __exit__(self, *_: object) -> None:
        self._association.release()

    def create(self, dataset: Dataset, uid: str, service: str = MPPS) -> int:
        status, _ = self._association.send_n_create(dataset, service, uid)
        return int(status.Status)

    def set(self, dataset: Dataset, uid: str) -> int:
        status, _ = self._association.send_n_set(dataset, MPPS, uid)
        return int(status.Status)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_completed_step_whose_images_are_all_here_completes_the_series(bench: Bench, syntax: str) -> None:
    with Scu(bench, syntax=syntax) as scu:
        assert scu.create(step("IN PROGRESS"), "1.2.7.1") == 0x0000
        bench.images(1, 2)
        assert bench.after(5).state == "OPEN", "two slices prove nothing before the quiet time"
        assert scu.set(step("COMPLETED", [1, 2], study=None), "1.2.7.1") == 0x0000
    series = bench.after(1)
    assert series.state == "CLOSED"
    assert series.grounds[0] == {
        "kind": "performed", "text": "2 of the 2 instances that MPPS names are here", "holds": True,
    }
    assert bench.events() == [
        {"kind": "MPPS", "state": "COMPLETED", "reason": "", "named": 2, "here": 2},
    ]


def test_a_series_that_lacks_what_was_performed_is_waited_for_and_held(bench: Bench) -> None:
    bench.images(1, 2)
    with Scu(bench) as scu:
        assert scu.create(step("IN PROGRESS"), "1.2.7.1") == 0x0000
        assert scu.set(step("COMPLETED", [1, 2, 3], study=None), "1.2.7.1") == 0x0000
    assert bench.after(100).state == "OPEN", "quiet time alone does not close over what is missing"
    series = bench.after(60)
    assert (series.state, series.reason) == ("HELD", "2 of the 3 instances that MPPS names are here")
    bench.images(3)
    assert bench.after(1).state == "CLOSED"


def test_a_discontinued_step_is_a_reason_and_no_proof(bench: Bench) -> None:
    bench.images(1, 2)
    with Scu(bench) as scu:
        assert scu.create(step("IN PROGRESS"), "1.2.7.1") == 0x0000
        assert scu.set(discontinued([1, 2]), "1.2.7.1") == 0x0000
    assert bench.after(5).state == "OPEN"
    series = bench.after(30)
    assert series.state == "CLOSED"
    kinds = [ground["kind"] for ground in series.grounds]
    assert kinds[0] == "quiet time"
    (said,) = [ground for ground in series.grounds if ground["kind"] == "performed"]
    assert (said["text"], said["holds"]) == ("a procedure step of the study was discontinued (110513^DCM)", None)


def test_a_notice_of_availability_names_what_has_to_come(bench: Bench) -> None:
    with Scu(bench) as scu:
        assert scu.create(notice([1, 2, 3]), "1.2.8.1", AVAILABILITY) == 0x0000
    bench.images(1, 2)
    assert bench.after(100).state == "OPEN"
    bench.images(3)
    series = bench.after(1)
    assert (series.state, series.grounds[0]["text"]) == ("CLOSED", "3 of the 3 instances that IAN names are here")


def test_what_is_wrong_with_a_statement_is_answered_and_changes_nothing(bench: Bench) -> None:
    with Scu(bench) as scu:
        assert scu.set(step("COMPLETED", [1], study=None), "1.2.7.9") == 0x0112
        assert scu.create(step("COMPLETED"), "1.2.7.1") == 0x0115
        assert scu.create(step("IN PROGRESS", study=None), "1.2.7.1") == 0x0115
        assert scu.create(step("IN PROGRESS"), "1.2.7.1") == 0x0000
        assert scu.create(step("IN PROGRESS"), "1.2.7.1") == 0x0111
        assert scu.set(step("COMPLETED", [1], study=None), "1.2.7.1") == 0x0000
        assert scu.set(step("IN PROGRESS", [1, 2], study=None), "1.2.7.1") == 0x0110
        assert scu.create(notice([1]), "1.2.8.1", AVAILABILITY) == 0x0000
        assert scu.create(notice([1]), "1.2.8.1", AVAILABILITY) == 0x0111
    with Scu(bench, called="STRANGER") as scu:
        assert scu.create(step("IN PROGRESS"), "1.2.7.2") == 0x0124
    with Scu(bench, called="CT2") as scu:
        assert scu.set(step("DISCONTINUED", study=None), "1.2.7.1") == 0x0112, "a step belongs to who created it"


def test_no_bytes_of_a_peer_break_the_reading() -> None:
    whole = bytes.fromhex("0800551104000000312e3200")
    for content in (whole[:5], whole[:9], b"\xff" * 64, bytes.fromhex("40004003ffffffff") * 40,
                    bytes.fromhex("40004003ffffffff" "feff00e0ffffffff") * 2000):  # fmt: skip
        with pytest.raises(Unreadable):
            read(MPPS, "1.2.3", content, is_new=True, implicit_vr=True)
