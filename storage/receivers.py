"""Several receivers that are one node: each says that it is there and which series are coming in at it.

A receiver that was not heard of for LOST is taken for dead: what it carried does not hold a series open any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, select

from radnode.storage.dialects import insert_for
from radnode.storage.receiver_tables import CarryingRow, ReceiverRow

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy import Select
    from sqlalchemy.orm import Session

LOST = timedelta(seconds=60)
FORGOTTEN = timedelta(days=1)
"""A receiver that was lost for so long is not expected back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """What a receiver last said of itself. said: as in :class:`~radnode.storage.receiver_tables.ReceiverRow`."""

    name: str
    address: str
    version: str
    leads: bool
    said: dict[str, Any]
    since: datetime
    seen_at: datetime

    def is_lost(self, now: datetime) -> bool:
        """Whether nothing was heard of it for too long."""
        return now - self.seen_at > LOST


def say(session: Session, present: Present) -> None:
    """This receiver is there; its first time is kept."""
    values = {name: getattr(present, name) for name in Present.__slots__}
    later = {name: value for name, value in values.items() if name not in ("name", "since")}
    statement = insert_for(session, ReceiverRow).values(values)
    session.execute(statement.on_conflict_do_update(index_elements=["name"], set_=later))


def listed(session: Session) -> list[Present]:
    """All that were heard of, by name."""
    rows = session.scalars(select(ReceiverRow).order_by(ReceiverRow.name))
    return [Present(**{name: getattr(row, name) for name in Present.__slots__}) for row in rows]


def forget(session: Session, name: str) -> None:
    """This receiver ended, or is expected no more."""
    session.execute(delete(CarryingRow).where(CarryingRow.receiver == name))
    session.execute(delete(ReceiverRow).where(ReceiverRow.name == name))


def carried(session: Session, receiver: str, association: str, series_instance_uid: str) -> None:
    """The first image of the series is here; said before it is recorded."""
    statement = insert_for(session, CarryingRow).values(
        association=association, series_instance_uid=series_instance_uid, receiver=receiver
    )
    session.execute(statement.on_conflict_do_nothing())


def drop(session: Session, association: str) -> None:
    """The association ended."""
    session.execute(delete(CarryingRow).where(CarryingRow.association == association))


def keep_only(session: Session, receiver: str, open_associations: Collection[str]) -> None:
    """Of this receiver's associations these are still open."""
    session.execute(delete(CarryingRow).where(
        CarryingRow.receiver == receiver, CarryingRow.association.not_in(open_associations)
    ))


def number_carrying(session: Session, series_instance_uid: str, beside: str, now: datetime) -> int:
    """How many open associations of other receivers have carried the series."""
    carrying = _elsewhere(beside, now).where(CarryingRow.series_instance_uid == series_instance_uid)
    return session.execute(carrying).scalar_one()


def is_open(session: Session, association: str, beside: str, now: datetime) -> bool:
    """Whether it is one of another receiver, and has not ended."""
    return session.execute(_elsewhere(beside, now).where(CarryingRow.association == association)).scalar_one() > 0


def _elsewhere(beside: str, now: datetime) -> Select[int]:
    return (
        select(func.count())
        .select_from(CarryingRow)
        .join(ReceiverRow, ReceiverRow.name == CarryingRow.receiver)
        .where(CarryingRow.receiver != beside, ReceiverRow.seen_at > now - LOST)
    )
