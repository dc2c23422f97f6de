"""Silences: by the name of an alarm, so that one that comes back within its silence is still silent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from radnode.storage.catalog import affected
from radnode.storage.dialects import insert_for
from radnode.storage.silence_tables import SilenceRow

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Until when nobody is told of an alarm, who said so and why."""

    until: datetime
    who: str
    reason: str


def silence(session: Session, name: str, said: Silence, now: datetime) -> None:
    """In place of any silence of the same name; those that have ended are forgotten."""
    session.execute(delete(SilenceRow).where(SilenceRow.until <= now))
    values = {"until": said.until, "at": now, "who": said.who, "reason": said.reason}
    statement = insert_for(session, SilenceRow).values(name=name, **values)
    session.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))


def end(session: Session, name: str) -> bool:
    """Tell again from now on; whether it was silent."""
    return affected(session, delete(SilenceRow).where(SilenceRow.name == name)) == 1


def silenced(session: Session, now: datetime) -> Mapping[str, Silence]:
    """Name -> its silence, of all that last."""
    return {
        row.name: Silence(until=row.until, who=row.who, reason=row.reason)
        for row in session.scalars(select(SilenceRow).where(SilenceRow.until > now))
    }
