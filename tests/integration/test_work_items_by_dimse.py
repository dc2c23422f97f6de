"""Work items at the DICOM port, ordered and looked at by pynetdicom: UPS Push and UPS Query (PS3.4 Annex CC)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.sop_class import UnifiedProcedureStepPush, UnifiedProcedureStepQuery
from support.ordering import order
from support.outbound import VirtualClock
from support.receiver import Receiver

from radnode.config.loading import parse
from radnode.node.dicomweb_out.image_processes import ImageProcesses
from radnode.node.intake.admission import Admitted
from radnode.node.intake.normalized import CommitmentDesk
from radnode.node.workitems import attributes, door
from radnode.node.workitems.desk import Desk
from radnode.node.workitems.door import WorkItemDoor
from radnode.node.workitems.subscribing import SubscriptionDesk
from radnode.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from radnode.node.workitems.notices import Report

CONFIGURATION = """\
workitems:
  codes: {"CHEST^99HOSP": chest-ct}
peers:
  RIS: {ae_title: RIS, host: 127.0.0.1, port: 104, receives: true}
routes:
  - {name: chest-ct, when: {modality: CT}, run: [ct-lung], send: [RIS], enabled: false}
"""
UID = "1.2.840.99.1"


class Bench:
    """A receiver with a desk behind it."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(f"sqlite:///{folder / 'items.db'}")
        self.database.upgrade()
        configuration, clock = parse(CONFIGURATION, "a.yaml"), VirtualClock()
        desk = Desk(database=self.database, configuration=lambda: configuration, now=clock.now, on_change=lambda: None)
        subscriptions = SubscriptionDesk(database=self.database, now=clock.now, on_notice=lambda: None)
        self.heard: list[tuple[str, Report]] = []
        self.images = ImageProcesses()
        self.is_known = True
        self.receiver = Receiver(
            folder / "receiver", admit=lambda calling, *_: Admitted(source=calling, is_configured=self.is_known),
            desk=CommitmentDesk(reported=lambda *_: 0, requested=lambda *_: 0,
                                ordered=WorkItemDoor(desk, self.images, subscriptions, lambda: configuration,
                                                     lambda *said: self.heard.append(said))),
        )
        self.desk = desk

@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    with made.receiver:
        yield made
    made.images.close()
    made.database.close()


class Scu:
    """A RIS, by pynetdicom."""

    def __init__(self, bench: Bench, syntax: str = ExplicitVRLittleEndian) -> None:
        ae = AE(ae_title="RIS")
        for service in (UnifiedProcedureStepPush, UnifiedProcedureStepQuery):
            ae.add_requested_context(service, syntax)
        self._association = ae.associate("127.0.0.1", bench.receiver.port, ae_title="RADNODE")
        assert self._association.is_established

    def __enter__(self) -> Scu:
        return self

    def __exit__(self, *_: object) -> None:
        self._association.release()

    def create(self, uid: str, **more: Any) -> int:
        item = attributes.stored(order("1.2.5.1", {"1.2.4.1": ["1.2.3.1"]}, **more))
        status, _ = self._association.send_n_create(item, UnifiedProcedureStepPush, uid)
        return int(status.Status)

    def get(self, uid: str, *tags: Any) -> tuple[int, Dataset | None]:
        status, item = self._association.send_n_get(list(tags), UnifiedProcedureStepPush, uid)
        return int(status.Status), item

    def cancel(self, uid: str, reason: str = "", action: int = door.REQUEST_CANCEL) -> int:
        said = Dataset()
        if reason:
            said.ReasonForCancellation = reason
        status, _ = self._association.send_n_action(said if reason else None, action, UnifiedProcedureStepPush, uid)
        return int(status.Status)

    def find(self, **wanted: Any) -> tuple[list[Dataset], int]:
        query = Dataset()
        for keyword, value in wanted.items():
            setattr(query, keyword, value)
        said = list(self._association.send_c_find(query, UnifiedProcedureStepQuery))
        return [item for _, item in said if item is not None], int(said[-1][0].Status)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_an_order_is_taken_shown_and_ended_over_dimse(bench: Bench, syntax: str) -> None:
    uid = f"{UID}.{len(syntax)}"
    with Scu(bench, syntax) as scu:
        assert scu.create(uid, PatientName="山田^太郎", SpecificCharacterSet="ISO_IR 192", PatientID="C-1") == 0
        assert scu.create(uid) == 0x0111
        status, item = scu.get(uid)
        assert status == 0
        assert item is not None
        assert (item.ProcedureStepState, item.PatientName) == ("SCHEDULED", "山田^太郎")
        assert item.InputInformationSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.3.1"
        _, some = scu.get(uid, 0x00741000)
        assert some is not None
        assert [element.keyword for element in some] == ["SpecificCharacterSet", "ProcedureStepState"]
        found, status = scu.find(SOPInstanceUID="", ProcedureStepState="SCHEDULED", PatientID="C-1", WorklistLabel="")
        assert status == 0
        assert uid in [each.SOPInstanceUID for each in found]
        assert all(each.ProcedureStepState == "SCHEDULED" for each in found)
        assert "InputInformationSequence" not in found[0]
        assert scu.find(PatientID="C-2", SOPInstanceUID="")[0] == []
        assert scu.cancel(uid, "The patient went home.") == 0
        _, item = scu.get(uid)
        assert item is not None
        assert item.ProcedureStepState == "CANCELED"
        assert item.ProcedureStepProgressInformationSequence[0].ReasonForCancellation == "The patient went home."
        assert scu.cancel(uid) == 0xB304


def test_what_is_unclear_unknown_or_not_ours_to_do_is_refused_by_its_status(bench: Bench) -> None:
    other = order("1.2.5.1", {"1.2.4.1": ["1.2.3.1"]}, code="BRAIN")
    with Scu(bench) as scu:
        assert scu.create(f"{UID}.9", ProcedureStepState="IN PROGRESS") == door.INVALID_VALUE
        assert scu.create(f"{UID}.9", ScheduledWorkitemCodeSequence=attributes.stored(other)[
            "ScheduledWorkitemCodeSequence"].value) == door.INVALID_VALUE
        assert scu.get("1.2.840.99.2")[0] == door.NO_SUCH_UPS
        assert scu.cancel("1.2.840.99.2") == door.NO_SUCH_UPS
        assert scu.cancel(f"{UID}.9", action=1) == 0x0123
        assert bench.desk.search([("SOPInstanceUID", f"{UID}.9")], 10, 0) == []


def test_a_search_that_finds_more_than_it_may_says_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "MOST_FOUND", 1)
    with Scu(bench) as scu:
        for number in (1, 2):
            assert scu.create(f"{UID}.7.{number}", PatientID="MANY") == 0
        found, status = scu.find(PatientID="MANY")
        assert (len(found), status) == (1, door.MORE_THAN_THESE)


def test_who_is_not_configured_orders_and_sees_nothing(bench: Bench) -> None:
    bench.is_known = False
    try:
        with Scu(bench) as scu:
            assert scu.create(f"{UID}.8") == 0x0124
            assert scu.get(f"{UID}.7.1")[0] == 0x0124
            found, status = scu.find(SOPInstanceUID="")
            assert (found, status) == ([], 0x0124)
    finally:
        bench.is_known = True
    assert bench.desk.search([("SOPInstanceUID", f"{UID}.8")], 10, 0) == []
