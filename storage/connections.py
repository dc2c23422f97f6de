"""What came from whom, and what went to whom: for the page of connections. Reads only, each by an index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from radnode.storage.order_tables import MessageRow
from radnode.storage.outbox import OTHER_PATIENT, DeliveryState
from radnode.storage.tables import CommitmentRequestRow, DeliveryRow, JobRow, ResultObjectRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session

MOST_COUNTED = 1000
ARRIVED = (DeliveryState.SENT, DeliveryState.CONFIRMED)
UNDER_WAY = (DeliveryState.WAITING, DeliveryState.SENDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What goes to a destination. waiting, given_up, held_back: at most MOST_COUNTED of each are counted.

    waits_since: of the oldest that waits. last_at: when the last one was taken.
    """

    waiting: int = 0
    waits_since: datetime | None = None
    given_up: int = 0
    held_back: int = 0
    last_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One result object on its way to a destination. study: the row of its study."""

    delivery: int
    job: int
    study: int
    form: str
    state: DeliveryState
    reason: str
    attempts: int
    created_at: datetime
    due_at: datetime
    sent_at: datetime | None
    confirmed_at: datetime | None
    confirmed_how: str | None

    @property
    def held_back(self) -> bool:
        """Whether it is dead because its destination has the study under another patient."""
        return self.state == DeliveryState.DEAD and self.reason.startswith(OTHER_PATIENT)


def traffic(session: Session, destination: str) -> Traffic:
    """What waits for a destination, what was given up, and when something arrived last."""
    theirs = DeliveryRow.destination == destination
    under_way = (theirs, DeliveryRow.state.in_(UNDER_WAY))
    dead = (theirs, DeliveryRow.state == DeliveryState.DEAD)
    held_back = _count(session, *dead, DeliveryRow.reason.startswith(OTHER_PATIENT))
    oldest = select(DeliveryRow.created_at).where(*under_way).order_by(DeliveryRow.due_at).limit(MOST_COUNTED)
    newest = newest_of(session, destination, ARRIVED, 1)
    return Traffic(
        waiting=_count(session, *under_way), waits_since=min(session.scalars(oldest), default=None),
        given_up=_count(session, *dead) - held_back, held_back=held_back,
        last_at=newest[0].sent_at if newest else None,
    )


def newest_of(
    session: Session, destination: str, states: Iterable[DeliveryState], limit: int, *, offset: int = 0
) -> list[Sent]:
    """The newest deliveries to a destination in these states, by when they were last due."""
    found: list[tuple[DeliveryRow, str, int]] = []
    for state in states:
        rows = session.execute(
            select(DeliveryRow, ResultObjectRow.form, JobRow.study_id)
            .join(ResultObjectRow, ResultObjectRow.id == DeliveryRow.result_object_id)
            .join(JobRow, JobRow.id == DeliveryRow.job_id)
            .where(DeliveryRow.state == state, DeliveryRow.destination == destination)
            .order_by(DeliveryRow.due_at.desc(), DeliveryRow.id.desc())
            .limit(limit + offset)
        )
        found += [(delivery, form, study) for delivery, form, study in rows]
    found.sort(key=lambda each: (each[0].due_at, each[0].id), reverse=True)
    return [_sent(*each) for each in found[offset:offset + limit]]


def last_messages(session: Session) -> dict[str, datetime]:
    """Sender of HL7 v2 -> when its last message came, of the newest MOST_COUNTED of all."""
    newest = (
        select(MessageRow.sender, MessageRow.received_at)
        .order_by(MessageRow.received_at.desc()).limit(MOST_COUNTED).subquery()
    )
    rows = session.execute(select(newest.c.sender, func.max(newest.c.received_at)).group_by(newest.c.sender))
    return dict(rows.all())


def vouched(session: Session, source: str) -> dict[str, int]:
    """State -> requests of storage commitment that a source made of this node, of the last MOST_COUNTED."""
    newest = (
        select(CommitmentRequestRow.state).where(CommitmentRequestRow.source == source)
        .order_by(CommitmentRequestRow.id.desc()).limit(MOST_COUNTED).subquery()
    )
    return dict(session.execute(select(newest.c.state, func.count()).group_by(newest.c.state)).all())


def _count(session: Session, *which: ColumnElement[bool]) -> int:
    some = select(DeliveryRow.id).where(*which).limit(MOST_COUNTED).subquery()
    return session.scalar(select(func.count()).select_from(some)) or 0


def _sent(row: DeliveryRow, form: str, study: int) -> Sent:
    return Sent(
        delivery=row.id, job=row.job_id, study=study, form=form, state=DeliveryState(row.state), reason=row.reason,
        attempts=row.attempts, created_at=row.created_at, due_at=row.due_at, sent_at=row.sent_at,
        confirmed_at=row.confirmed_at, confirmed_how=row.confirmed_how,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """How the arrival of the newest results was proven. by: how -> number. unproven: sent, and nothing proves it yet.

    median_s: from Success to the proof; None where nothing was proven.
    """

    number: int
    by: dict[str, int]
    unproven: int
    median_s: float | None


def confirmation(newest: Sequence[Sent]) -> Confirmation:
    """Of deliveries that were sent."""
    by: dict[str, int] = {}
    waits = []
    for each in newest:
        if each.confirmed_at is not None and each.sent_at is not None:
            how = each.confirmed_how or ""
            by[how] = by.get(how, 0) + 1
            waits.append((each.confirmed_at - each.sent_at).total_seconds())
    waits.sort()
    return Confirmation(number=len(newest), by=by, unproven=len(newest) - len(waits),
                        median_s=waits[len(waits) // 2] if waits else None)
