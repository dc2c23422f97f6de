"""Images that a source wants to be vouched for: storage commitment (PS3.4 Annex J), the node as SCP."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel
from sqlalchemy import select, update
from support.network import free_port
from support.outbound import CT, Outbound, destination
from support.rows import receive, reception

from radnode.node.commitment_sets import Reference, Transaction, read
from radnode.node.delivery.backoff import HORIZON
from radnode.storage.tables import CommitmentRequestRow, InstanceRow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pynetdicom.events import Event

HOUR = timedelta(hours=1)
OTHER_CLASS = "1.2.840.10008.5.1.4.1.1.4"


class Modality:
    """A scanner that asked for storage commitment and waits for the report."""

    def __init__(self) -> None:
        self.port = free_port()
        self.reports: list[Transaction] = []
        self._ae = AE(ae_title="CT1")
        self._ae.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
        self._server: Any = None

    def start(self) -> None:
        self._server = self._ae.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._take)]
        )

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    def _take(self, event: Event) -> tuple[int, None]:
        implicit_vr = event.context.transfer_syntax == "1.2.840.10008.1.2"
        self.reports.append(read(event.request.EventInformation.getvalue(), implicit_vr=implicit_vr))
        return 0x0000, None


@pytest.fixture
def modality() -> Iterator[Modality]:
    made = Modality()
    yield made
    made.stop()


@pytest.fixture
def node(tmp_path: Path, modality: Modality) -> Iterator[Outbound]:
    """It has images 1 to 3, of which the third is deleted since."""
    made = Outbound(tmp_path, destination(modality.port, name="CT1", sends=True, receives=False, commitment=True))
    receive(made.database, *(reception(number, at=made.clock.time) for number in (1, 2, 3)))
    with made.database.begin() as session:
        session.execute(
            update(InstanceRow).where(InstanceRow.sop_instance_uid == "1.2.3.3").values(state="EXPIRED")
        )
    yield made
    made.close()


def _wanted(*numbers: int, sop_class_uid: str = CT, uid: str = "2.25.5") -> Transaction:
    return Transaction(uid=uid, references=[
        Reference(sop_class_uid=sop_class_uid, sop_instance_uid=f"1.2.3.{number}") for number in numbers
    ])


def _requests(node: Outbound) -> list[tuple[str, int]]:
    with node.database.read() as session:
        return [(row.state, row.attempts) for row in session.scalars(select(CommitmentRequestRow))]


def test_what_is_kept_is_vouched_for_and_what_is_deleted_unknown_or_another_class_is_not(
    node: Outbound, modality: Modality
) -> None:
    modality.start()
    assert node.voucher.requested(_wanted(1, 2, 3, 9), "CT1") == 0
    assert node.voucher.requested(_wanted(1, sop_class_uid=OTHER_CLASS, uid="2.25.6"), "CT1") == 0
    node.voucher.report_due()
    said = [{each.sop_instance_uid: each.failure for each in report.references} for report in modality.reports]
    assert said == [
        {"1.2.3.1": None, "1.2.3.2": None, "1.2.3.3": 0x0112, "1.2.3.9": 0x0112}, {"1.2.3.1": 0x0119},
    ]
    assert [report.uid for report in modality.reports] == ["2.25.5", "2.25.6"]
    assert _requests(node) == [("REPORTED", 1)] * 2
    node.voucher.report_due()
    assert len(modality.reports) == 2


def test_a_report_that_nobody_takes_is_kept_over_a_restart_and_tried_again_until_it_is_too_old(
    node: Outbound, modality: Modality
) -> None:
    assert node.voucher.requested(_wanted(1), "CT1") == 0
    node.voucher.report_due()
    node.voucher.report_due()
    assert _requests(node) == [("WAITING", 1)]
    node.restart()
    node.clock.forward(HOUR)
    modality.start()
    node.voucher.report_due()
    assert len(modality.reports) == 1
    modality.stop()
    assert node.voucher.requested(_wanted(1), "CT1") == 0, "the same request again is reported on again"
    node.clock.forward(HORIZON)
    node.voucher.report_due()
    assert _requests(node)[0][0] == "GIVEN_UP"


@pytest.mark.parametrize(
    ("by", "wanted", "status"),
    [("STRANGER", _wanted(1), 0x0124), ("CT1", _wanted(), 0x0115), ("CT1", _wanted(2), 0x0131)],
    ids=["by a stranger", "nothing", "another under the same UID"],
)
def test_what_cannot_be_vouched_for_is_refused_at_once(
    node: Outbound, by: str, wanted: Transaction, status: int
) -> None:
    assert node.voucher.requested(_wanted(1), "CT1") == 0
    assert node.voucher.requested(wanted, by) == status
    assert len(_requests(node)) == 1


def test_a_peer_without_storage_commitment_is_not_vouched_to(node: Outbound) -> None:
    node.peers["CT1"] = destination(104, name="CT1", sends=True)
    assert node.voucher.requested(_wanted(1), "CT1") == 0x0124
