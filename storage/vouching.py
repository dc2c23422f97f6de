"""Requests of storage commitment that sources made of this node (PS3.4 Annex J), and what the ledger says to them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import func, insert, select, update

from radnode.storage import ledger
from radnode.storage.ledger import InstanceState
from radnode.storage.tables import CommitmentRequestRow, InstanceRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime, timedelta

    from sqlalchemy.orm import Session

_NOT_HELD = (InstanceState.EXPIRED, InstanceState.QUARANTINED)


class RequestState(StrEnum):
    """GIVEN_UP: the source could not be reached with the report for too long."""

    WAITING = "WAITING"
    REPORTED = "REPORTED"
    GIVEN_UP = "GIVEN_UP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A source wants to know whether these are kept: (SOP class, SOP instance) UIDs."""

    request_id: int
    source: str
    transaction_uid: str
    references: Sequence[tuple[str, str]]
    requested_at: datetime
    attempts: int


class TransactionReused(Exception):
    """The source has used this Transaction UID for other objects."""


def enter(
    session: Session, source: str, transaction_uid: str, references: Sequence[tuple[str, str]], now: datetime
) -> None:
    """A source asks; the report is due at once. The same request again is reported on again.

    Raises :class:`TransactionReused`.
    """
    wanted = [list(each) for each in references]
    row = session.scalar(
        select(CommitmentRequestRow).where(
            CommitmentRequestRow.source == source, CommitmentRequestRow.transaction_uid == transaction_uid
        )
    )
    if row is None:
        session.execute(
            insert(CommitmentRequestRow).values(
                source=source, transaction_uid=transaction_uid, references=wanted, requested_at=now,
                state=RequestState.WAITING, attempts=0, due_at=now, reason="",
            )
        )
    elif row.references == wanted:
        row.state, row.attempts, row.due_at, row.requested_at = RequestState.WAITING, 0, now, now
    else:
        raise TransactionReused


def waiting(session: Session, source: str) -> int:
    """How many requests of a source are not reported on."""
    return session.scalar(
        select(func.count()).where(
            CommitmentRequestRow.source == source, CommitmentRequestRow.state == RequestState.WAITING
        )
    ) or 0


def due(session: Session, now: datetime, longest_wait: timedelta, limit: int) -> list[Request]:
    """What is to be reported on now. What is due later than the longest wait was written by another clock (N17)."""
    rows = session.scalars(
        select(CommitmentRequestRow)
        .where(
            CommitmentRequestRow.state == RequestState.WAITING,
            (CommitmentRequestRow.due_at <= now) | (CommitmentRequestRow.due_at > now + longest_wait),
        )
        .order_by(CommitmentRequestRow.due_at)
        .limit(limit)
    )
    return [
        Request(
            request_id=row.id, source=row.source, transaction_uid=row.transaction_uid,
            references=[(sop_class_uid, sop_instance_uid) for sop_class_uid, sop_instance_uid in row.references],
            requested_at=row.requested_at, attempts=row.attempts,
        )
        for row in rows
    ]


def held(session: Session, sop_instance_uids: Iterable[str]) -> dict[str, set[str]]:
    """SOP instance UID -> the SOP classes of what was acknowledged under it and is still kept."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for some in ledger.portions(sop_instance_uids):
        rows = session.execute(
            select(InstanceRow.sop_instance_uid, InstanceRow.sop_class_uid)
            .where(InstanceRow.sop_instance_uid.in_(some), InstanceRow.state.not_in(_NOT_HELD))
        )
        for sop_instance_uid, sop_class_uid in rows:
            found[sop_instance_uid].add(sop_class_uid)
    return dict(found)


def postpone(session: Session, request: Request, reason: str, due_at: datetime) -> None:
    """The source could not be reached; the report is due again then."""
    _move(session, request, RequestState.WAITING, attempts=request.attempts + 1, reason=reason, due_at=due_at)


def end(session: Session, request: Request, state: RequestState, reason: str = "") -> None:
    """It is reported on, or nobody will be told."""
    _move(session, request, state, attempts=request.attempts + 1, reason=reason)


def _move(session: Session, request: Request, state: RequestState, **values: object) -> None:
    """Unless the source has asked again since."""
    session.execute(
        update(CommitmentRequestRow)
        .where(
            CommitmentRequestRow.id == request.request_id, CommitmentRequestRow.state == RequestState.WAITING,
            CommitmentRequestRow.requested_at == request.requested_at,
        )
        .values(state=state, **values)
    )
