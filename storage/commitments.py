"""Transactions of storage commitment (PS3.4 Annex J): what was asked for, and what is still to be asked."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import and_, exists, insert, or_, select, update
from sqlalchemy.orm import aliased

from radnode.storage import outbox
from radnode.storage.outbox import DeliveryState, Proof
from radnode.storage.tables import CommitmentRow, DeliveryRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from radnode.storage.outbox import Delivery


class TransactionState(StrEnum):
    """A report may still come of one that TIMED_OUT; of one that was REFUSED none is expected."""

    ASKED = "ASKED"
    REPORTED = "REPORTED"
    REFUSED = "REFUSED"
    TIMED_OUT = "TIMED_OUT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A transaction that was asked for."""

    transaction_uid: str
    destination: str
    state: TransactionState


def to_ask(session: Session, destination: str, now: datetime, limit: int) -> dict[int, list[Delivery]]:
    """What was sent and its destination is to be asked about, by job. A job of which more is to be sent now waits."""
    sibling = aliased(DeliveryRow)
    goes_on = exists().where(
        sibling.job_id == DeliveryRow.job_id,
        sibling.destination == DeliveryRow.destination,
        or_(
            sibling.state == DeliveryState.SENDING,
            and_(sibling.state == DeliveryState.WAITING, sibling.due_at <= now),
        ),
    )
    rows = session.execute(
        outbox.deliveries()
        .where(
            DeliveryRow.destination == destination, DeliveryRow.state == DeliveryState.SENT,
            DeliveryRow.proof.is_(None), DeliveryRow.confirm_at <= now, ~goes_on,
        )
        .order_by(DeliveryRow.job_id, DeliveryRow.send_order)
        .limit(limit)
    )
    found = defaultdict(list)
    for row in rows:
        delivery = outbox.delivery_of(row)
        found[delivery.job_id].append(delivery)
    return dict(found)


def ask(session: Session, transaction_uid: str, deliveries: Sequence[Delivery], now: datetime) -> None:
    """A destination is about to be asked about these deliveries of one job: a report finds its transaction."""
    first = deliveries[0]
    session.execute(
        insert(CommitmentRow).values(
            transaction_uid=transaction_uid, job_id=first.job_id, destination=first.destination,
            state=TransactionState.ASKED, asked_at=now,
        )
    )
    _begin(session, deliveries, now, transaction_uid=transaction_uid, proof=Proof.REPORT)


def note_attempt(session: Session, deliveries: Sequence[Delivery], now: datetime) -> None:
    """A destination could not be asked about these; their time runs."""
    _begin(session, deliveries, now)


def answered(session: Session, transaction_uid: str, status: int) -> None:
    """The N-ACTION was answered; with anything but Success the transaction is REFUSED."""
    values: dict[str, object] = {"status": status}
    if status:
        values["state"] = TransactionState.REFUSED
    session.execute(
        update(CommitmentRow)
        .where(CommitmentRow.transaction_uid == transaction_uid, CommitmentRow.state == TransactionState.ASKED)
        .values(**values)
    )


def find(session: Session, transaction_uid: str) -> Asked | None:
    """A transaction, locked until the end of this one; None for an unknown UID."""
    row = session.scalar(
        select(CommitmentRow).where(CommitmentRow.transaction_uid == transaction_uid).with_for_update()
    )
    if row is None:
        return None
    return Asked(
        transaction_uid=row.transaction_uid, destination=row.destination, state=TransactionState(row.state)
    )


def open_deliveries(session: Session, transaction_uid: str) -> list[Delivery]:
    """What this transaction was the last to ask about, and was not proven, sent again or given up since."""
    rows = session.execute(
        outbox.deliveries()
        .where(DeliveryRow.transaction_uid == transaction_uid, DeliveryRow.state == DeliveryState.SENT)
        .order_by(DeliveryRow.id)
    )
    return [outbox.delivery_of(row) for row in rows]


def reported(session: Session, transaction_uid: str, by: str, now: datetime) -> None:
    """A report came, the first or another."""
    session.execute(
        update(CommitmentRow)
        .where(CommitmentRow.transaction_uid == transaction_uid)
        .values(state=TransactionState.REPORTED, reported_at=now, reported_by=by)
    )


def time_out(session: Session, destination: str, asked_before: datetime) -> list[Delivery]:
    """What a destination was asked about before then and no report has mentioned; its transactions are TIMED_OUT."""
    overdue = (
        select(CommitmentRow.transaction_uid)
        .where(CommitmentRow.destination == destination, CommitmentRow.asked_at <= asked_before)
    )
    rows = session.execute(
        outbox.deliveries().where(
            DeliveryRow.destination == destination, DeliveryRow.state == DeliveryState.SENT,
            DeliveryRow.proof == Proof.REPORT, DeliveryRow.transaction_uid.in_(overdue),
        )
    ).all()
    session.execute(
        update(CommitmentRow)
        .where(
            CommitmentRow.destination == destination, CommitmentRow.state == TransactionState.ASKED,
            CommitmentRow.asked_at <= asked_before,
        )
        .values(state=TransactionState.TIMED_OUT)
    )
    return [outbox.delivery_of(row) for row in rows]


def ask_again(session: Session, delivery: Delivery, reason: str, at: datetime) -> None:
    """Nothing is proven yet; a new transaction asks then."""
    _settle(session, delivery, reason=reason, proof=None, confirm_at=at)


def look(session: Session, delivery: Delivery, reason: str, now: datetime) -> None:
    """It is looked for by C-FIND instead."""
    _settle(session, delivery, reason=reason, proof=Proof.LISTING, confirm_at=now)


def postpone(session: Session, destination: str, until: datetime) -> None:
    """Nothing is asked there before `until`."""
    session.execute(
        update(DeliveryRow)
        .where(
            DeliveryRow.destination == destination, DeliveryRow.state == DeliveryState.SENT,
            DeliveryRow.proof.is_(None), DeliveryRow.confirm_at < until,
        )
        .values(confirm_at=until)
    )


def _begin(session: Session, deliveries: Iterable[Delivery], now: datetime, **values: object) -> None:
    for delivery in deliveries:
        _settle(session, delivery, asked_at=delivery.asked_at or now, **values)


def _settle(session: Session, delivery: Delivery, **values: object) -> None:
    session.execute(
        update(DeliveryRow)
        .where(DeliveryRow.id == delivery.delivery_id, DeliveryRow.state == DeliveryState.SENT)
        .values(**values)
    )


def give_back(session: Session) -> None:
    """What was asked about without an answer is asked about again. Only for a process that has just started."""
    unanswered = select(CommitmentRow.transaction_uid).where(
        CommitmentRow.state == TransactionState.ASKED, CommitmentRow.status.is_(None)
    )
    session.execute(
        update(DeliveryRow)
        .where(
            DeliveryRow.state == DeliveryState.SENT, DeliveryRow.proof == Proof.REPORT,
            DeliveryRow.transaction_uid.in_(unanswered),
        )
        .values(proof=None)
    )
