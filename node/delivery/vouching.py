"""Vouches for images towards their sources: Storage Commitment (PS3.4 Annex J) with the node as SCP.

A source asks, is answered once its request is recorded, and gets the report on an association that the node opens to
its configured address, again and again until it takes it (J.3.3 leaves the association to the SCP). What is said is
what the ledger says at that moment: an image that was acknowledged and is still kept is committed to. It is kept for
`retention_days`, no longer, so only peers with `commitment: true` are vouched to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import build_role

from radnode.node.association import PeerUnreachable, associate
from radnode.node.commitment_sets import (
    ALL_COMMITTED,
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    SOME_FAILED,
    Reference,
    Transaction,
    written,
)
from radnode.node.delivery import backoff
from radnode.node.statuses import (
    DUPLICATE_TRANSACTION,
    INVALID_ARGUMENT,
    NOT_AUTHORIZED,
    PROCESSING_FAILURE,
    RESOURCE_LIMITATION,
    SUCCESS,
)
from radnode.storage import vouching
from radnode.storage.errors import StorageError
from radnode.storage.vouching import RequestState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from radnode.config.peers import Peer
    from radnode.storage.database import Database
    from radnode.storage.vouching import Request

log = structlog.get_logger(__name__)

NO_SUCH_OBJECT = 0x0112
CLASS_INSTANCE_CONFLICT = 0x0119
MOST_WAITING = 1000
"""Requests of one source that are not reported on; more are refused for now."""
AT_ONCE = 20


def judge(references: Sequence[tuple[str, str]], held: Mapping[str, set[str]]) -> list[Reference]:
    """What is said of each (SOP class, SOP instance), given the classes of what is kept under each UID."""
    judged = []
    for sop_class_uid, sop_instance_uid in references:
        classes = held.get(sop_instance_uid)
        failure = NO_SUCH_OBJECT if not classes else None if sop_class_uid in classes else CLASS_INSTANCE_CONFLICT
        judged.append(
            Reference(sop_class_uid=sop_class_uid, sop_instance_uid=sop_instance_uid, failure=failure)
        )
    return judged


class Voucher:
    """`requested` is called for each request, on any thread; `report_due` is the step of an activity."""

    def __init__(
        self,
        *,
        database: Database,
        own_ae_title: str,
        peers: Callable[[], Mapping[str, Peer]],
        now: Callable[[], datetime],
        on_requested: Callable[[], None],
    ) -> None:
        self._database = database
        self._own_ae_title = own_ae_title
        self._peers = peers
        self._now = now
        self._on_requested = on_requested

    def requested(self, request: Transaction, by: str) -> int:
        """Take a request of a configured peer; the status to answer it with, Success once the request is durable."""
        peer = self._peers().get(by)
        if peer is None or not peer.commitment:
            return NOT_AUTHORIZED
        references = [(each.sop_class_uid, each.sop_instance_uid) for each in request.references]
        if not references:
            return INVALID_ARGUMENT
        try:
            with self._database.begin() as session:
                if vouching.waiting(session, by) >= MOST_WAITING:
                    return RESOURCE_LIMITATION
                vouching.enter(session, by, request.uid, references, self._now())
        except vouching.TransactionReused:
            return DUPLICATE_TRANSACTION
        except StorageError as error:
            log.warning("commitment.not_recorded", by=by, transaction_uid=request.uid, reason=str(error))
            return PROCESSING_FAILURE
        log.info("commitment.requested", by=by, transaction_uid=request.uid, references=len(references))
        self._on_requested()
        return SUCCESS

    def report_due(self) -> bool:
        """Report what can be reported. True when more may be due."""
        with self._database.read() as session:
            due = vouching.due(session, self._now(), backoff.LONGEST_WAIT, AT_ONCE)
        for request in due:
            self._report(request)
        return len(due) == AT_ONCE

    def _report(self, request: Request) -> None:
        peer = self._peers().get(request.source)
        if peer is None or not peer.commitment:
            self._end(request, RequestState.GIVEN_UP, f"{request.source} is not vouched to any more")
            return
        with self._database.read() as session:
            held = vouching.held(session, [uid for _, uid in request.references])
        report = Transaction(uid=request.transaction_uid, references=judge(request.references, held))
        try:
            status = _send(peer, self._own_ae_title, report)
        except PeerUnreachable as unreachable:
            self._later(request, str(unreachable))
            return
        if status in (None, PROCESSING_FAILURE, RESOURCE_LIMITATION):
            self._later(request, f"{peer.name} did not take the report")
        elif status == SUCCESS:
            self._end(request, RequestState.REPORTED)
        else:
            self._end(request, RequestState.GIVEN_UP, f"{peer.name} refused the report: status 0x{status:04X}")

    def _later(self, request: Request, reason: str) -> None:
        now = self._now()
        if now - request.requested_at >= backoff.HORIZON:
            self._end(request, RequestState.GIVEN_UP, reason)
            return
        wait = backoff.next_wait(request.attempts + 1, backoff.jitter())
        with self._database.begin() as session:
            vouching.postpone(session, request, reason, now + wait)
        log.warning("commitment.not_reported", to=request.source, transaction_uid=request.transaction_uid,
                    reason=reason)

    def _end(self, request: Request, state: RequestState, reason: str = "") -> None:
        with self._database.begin() as session:
            vouching.end(session, request, state, reason)
        (log.warning if reason else log.info)("commitment.ended", to=request.source, state=state, reason=reason,
                                              transaction_uid=request.transaction_uid)


def _send(peer: Peer, own_ae_title: str, report: Transaction) -> int | None:
    """The status that the source answered, None for no answer. Raises :class:`PeerUnreachable`."""
    failed = any(each.failure is not None for each in report.references)
    contexts = [(PUSH_MODEL, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])]
    with associate(peer, own_ae_title, contexts, roles=[build_role(PUSH_MODEL, scp_role=True)]) as association:
        try:
            answer, _ = association.send_n_event_report(
                written(report), SOME_FAILED if failed else ALL_COMMITTED, PUSH_MODEL, PUSH_MODEL_INSTANCE
            )
        except RuntimeError:  # the association ended before
            return None
        status: int | None = answer.get("Status")
        return status
