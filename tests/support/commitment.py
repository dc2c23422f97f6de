"""Storage commitment as PACS do it: what they say of each object, on which association, when, and how often."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import StorageCommitmentPushModel

from radnode.node.commitment_sets import (
    ALL_COMMITTED,
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    REQUEST_STORAGE_COMMITMENT,
    SOME_FAILED,
    Reference,
    Transaction,
    read,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from pynetdicom.association import Association
    from pynetdicom.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One N-ACTION as the PACS saw it."""

    transaction: Transaction
    calling_ae: str


class Committer:
    """Answers N-ACTION for a stand-in PACS. Nothing is reported but by `report`, or at once where `at_once` says so.

    say: the failure reason of an object, None where it commits to it. status: the answer to N-ACTION.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.status = 0x0000
        self.at_once = False
        self.say: Callable[[str], int | None] = lambda _uid: None
        self.replies: list[int | None] = []

    def action(self, event: Event) -> tuple[int, None]:
        """For EVT_N_ACTION."""
        request = event.request
        assert request.ActionTypeID == REQUEST_STORAGE_COMMITMENT
        assert request.RequestedSOPInstanceUID == PUSH_MODEL_INSTANCE
        implicit_vr = event.context.transfer_syntax == "1.2.840.10008.1.2"
        transaction = read(request.ActionInformation.getvalue(), implicit_vr=implicit_vr)
        self.asked.append(Asked(transaction=transaction, calling_ae=event.assoc.requestor.ae_title.strip()))
        if self.status == 0 and self.at_once:
            threading.Thread(target=self._report_on, args=(event.assoc, transaction), daemon=True).start()
        return self.status, None

    def judged(self, transaction: Transaction) -> Transaction:
        """What it says of a transaction."""
        return Transaction(uid=transaction.uid, references=[
            Reference(sop_class_uid=each.sop_class_uid, sop_instance_uid=each.sop_instance_uid,
                      failure=self.say(each.sop_instance_uid))
            for each in transaction.references
        ])

    def _report_on(self, association: Association, transaction: Transaction) -> None:
        time.sleep(0.1)  # the answer to the request goes first
        self.replies.append(send_report(association, self.judged(transaction)))


def send_report(association: Association, report: Transaction) -> int | None:
    """The status that the node answered; None when it did not."""
    failed = any(each.failure is not None for each in report.references)
    answer, _ = association.send_n_event_report(
        written(report), SOME_FAILED if failed else ALL_COMMITTED, PUSH_MODEL, PUSH_MODEL_INSTANCE
    )
    status: int | None = answer.get("Status")
    return status


def report_to(port: int, report: Transaction, *, calling: str = "PACS", roles: bool = True) -> int | None:
    """Report on an association of its own; with roles, as SCP (PS3.4 J.3.3), else as old archives do."""
    ae = AE(ae_title=calling)
    ae.add_requested_context(StorageCommitmentPushModel)
    negotiated: list[Any] = [build_role(StorageCommitmentPushModel, scp_role=True)] if roles else []
    association = ae.associate("127.0.0.1", port, ae_title="RADNODE", ext_neg=negotiated)
    assert association.is_established, "the node lets its PACS in"
    if roles:
        (context,) = association.accepted_contexts
        assert (context.as_scu, context.as_scp) == (False, True)
    try:
        return send_report(association, report)
    finally:
        association.release()


def handlers(committer: Committer) -> list[tuple[Any, Any]]:
    """To be bound by a PACS."""
    return [(evt.EVT_N_ACTION, committer.action)]
