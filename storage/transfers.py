"""Received instances on their way on: to a destination as a route says, or back into the hospital.

    WAITING ──▶ SENT
       │  ▲ no answer, or a transient one
       └──┴──▶ HELD (it must not leave)   or   DEAD (refused, or too old)
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from sqlalchemy import func, select, update

from radnode.storage import ledger
from radnode.storage.catalog import add_event
from radnode.storage.dialects import insert_for
from radnode.storage.tables import InstanceRow, SeriesRow
from radnode.storage.transfer_tables import TransferRow

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

Direction = Literal["ON", "BACK"]


class TransferState(StrEnum):
    """HELD: it must not leave as it is, see the reason. DEAD: the destination does not take it.

    KNOWN: it was sent outside and came back as it was.
    """

    WAITING = "WAITING"
    SENT = "SENT"
    HELD = "HELD"
    DEAD = "DEAD"
    KNOWN = "KNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """One instance for one destination. source: who sent it here."""

    transfer_id: int
    instance_id: int
    destination: str
    direction: str
    digest: str
    source: str
    study_id: int
    series_id: int
    attempts: int
    created_at: datetime


def plan(
    session: Session, instance_ids: Collection[int], destinations: Collection[str], direction: Direction, now: datetime
) -> None:
    """Send these there; what was planned once is not planned again."""
    common = {"direction": direction, "state": TransferState.WAITING, "reason": "", "attempts": 0, "due_at": now,
              "created_at": now}
    for destination in destinations:
        for some in ledger.portions(instance_ids, 100):
            rows = [{"instance_id": each, "destination": destination, **common} for each in some]
            session.execute(
                insert_for(session, TransferRow).values(rows)
                .on_conflict_do_nothing(index_elements=["instance_id", "destination"])
            )


def due(session: Session, now: datetime, limit: int) -> list[Transfer]:
    """What can be sent now, oldest first, of the destination that waits longest."""
    waiting = (TransferRow.state == TransferState.WAITING, TransferRow.due_at <= now)
    first = session.scalar(select(TransferRow.destination).where(*waiting).order_by(TransferRow.id).limit(1))
    rows = session.execute(
        select(TransferRow, InstanceRow, SeriesRow)
        .join(InstanceRow, InstanceRow.id == TransferRow.instance_id)
        .join(SeriesRow, SeriesRow.id == InstanceRow.series_id)
        .where(*waiting, TransferRow.destination == first)
        .order_by(TransferRow.id)
        .limit(limit)
    )
    return [
        Transfer(
            transfer_id=row.id, instance_id=row.instance_id, destination=row.destination, direction=row.direction,
            digest=instance.digest, source=instance.source, study_id=series.study_id, series_id=series.id,
            attempts=row.attempts, created_at=row.created_at,
        )
        for row, instance, series in rows
    ]


def settle(
    session: Session, transfer: Transfer, state: TransferState, reason: str, status: int | None, now: datetime
) -> None:
    """It was sent, or need not be. status: what it was answered with."""
    _change(session, [transfer.transfer_id], state=state, status=status, sent_at=now if status is not None else None,
            reason=reason)


def retry(session: Session, transfer_ids: Collection[int], reason: str, due_at: datetime) -> None:
    """They wait for another attempt."""
    _change(session, transfer_ids, reason=reason, due_at=due_at, attempts=TransferRow.attempts + 1)


def end(session: Session, transfer: Transfer, state: TransferState, reason: str, now: datetime) -> None:
    """It is not sent; its study's timeline says so."""
    _change(session, [transfer.transfer_id], state=state, reason=reason)
    add_event(session, "image not sent on", now=now, study_id=transfer.study_id, series_id=transfer.series_id,
              detail={"destination": transfer.destination, "reason": reason})


def again(session: Session, destination: str, now: datetime) -> int:
    """What was held or given up is tried again; returns how many."""
    ids = session.scalars(
        select(TransferRow.id).where(
            TransferRow.destination == destination,
            TransferRow.state.in_((TransferState.HELD, TransferState.DEAD)),
        )
    ).all()
    _change(session, ids, state=TransferState.WAITING, due_at=now, created_at=now, attempts=0)
    return len(ids)


def summary(session: Session) -> list[tuple[str, str, str, int]]:
    """(destination, state, reason, number)."""
    rows = session.execute(
        select(TransferRow.destination, TransferRow.state, TransferRow.reason, func.count())
        .group_by(TransferRow.destination, TransferRow.state, TransferRow.reason)
        .order_by(TransferRow.destination, TransferRow.state, TransferRow.reason)
    )
    return [(destination, state, reason, number) for destination, state, reason, number in rows]


def known_instances(session: Session, source: str, sop_instance_uids: Collection[str]) -> set[str]:
    """Which of these came from a source."""
    return set(
        session.scalars(
            select(InstanceRow.sop_instance_uid).where(
                InstanceRow.source == source, InstanceRow.sop_instance_uid.in_(sop_instance_uids)
            )
        )
    )


def _change(session: Session, transfer_ids: Sequence[int] | Collection[int], **values: object) -> None:
    if transfer_ids:
        session.execute(update(TransferRow).where(TransferRow.id.in_(list(transfer_ids))).values(**values))
