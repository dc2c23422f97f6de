"""Alarms as rows: what is wrong since when, whether it still holds, and what each sink was told of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast

from sqlalchemy import delete, insert, or_, select, update

from radnode.storage.catalog import affected
from radnode.storage.dialects import insert_for
from radnode.storage.tables import AlarmRow, AlarmTellingRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session

Event = Literal["raised", "still", "cleared"]
_STANDING = AlarmRow.cleared_at.is_(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What a sink was told last."""

    event: Event
    told_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAlarm:
    """Something that is wrong now, as it is found."""

    name: str
    severity: str
    text: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAlarm(NewAlarm):
    """An alarm and what became of it. tellings: by sink."""

    alarm_id: int
    last_seen_at: datetime
    cleared_at: datetime | None
    tellings: Mapping[str, Telling] = field(default_factory=dict)


def standing(session: Session) -> list[KeptAlarm]:
    """What holds now, oldest first."""
    return _kept(session, _STANDING)


def known(session: Session, cleared_since: datetime) -> list[KeptAlarm]:
    """What holds now and what was cleared since then, oldest first."""
    return _kept(session, or_(_STANDING, AlarmRow.cleared_at >= cleared_since))


def cleared(session: Session, page: int, size: int) -> tuple[list[KeptAlarm], bool]:
    """What was cleared, newest first, a page (1, 2, ...) of it; whether there is another."""
    rows = session.scalars(
        select(AlarmRow).where(AlarmRow.cleared_at.is_not(None))
        .order_by(AlarmRow.cleared_at.desc(), AlarmRow.id.desc()).offset((page - 1) * size).limit(size + 1)
    ).all()
    return [_alarm(row) for row in rows[:size]], len(rows) > size


def raise_again(session: Session, name: str, cleared_since: datetime) -> bool:
    """Take back that an alarm was cleared, if that is no longer ago: it is the same one."""
    last = session.scalar(
        select(AlarmRow.id)
        .where(AlarmRow.name == name, AlarmRow.cleared_at > cleared_since)
        .order_by(AlarmRow.cleared_at.desc())
        .limit(1)
    )
    if last is None:
        return False
    session.execute(update(AlarmRow).where(AlarmRow.id == last).values(cleared_at=None))
    return True


def enter(session: Session, alarm: NewAlarm, now: datetime) -> None:
    """A new alarm."""
    session.execute(
        insert(AlarmRow).values(
            name=alarm.name, severity=alarm.severity, text=alarm.text, since=alarm.since, last_seen_at=now
        )
    )


def see(session: Session, alarm: NewAlarm, now: datetime) -> None:
    """It still holds, maybe in other words."""
    session.execute(
        update(AlarmRow)
        .where(AlarmRow.name == alarm.name, _STANDING)
        .values(text=alarm.text, severity=alarm.severity, last_seen_at=now)
    )


def clear(session: Session, name: str, now: datetime) -> None:
    """It holds no more."""
    session.execute(
        update(AlarmRow).where(AlarmRow.name == name, _STANDING).values(cleared_at=now)
    )


def told(session: Session, alarm_ids: Sequence[tuple[int, Event]], sink: str, now: datetime) -> None:
    """The sink has taken these."""
    for alarm_id, event in alarm_ids:
        statement = insert_for(session, AlarmTellingRow).values(
            alarm_id=alarm_id, sink=sink, event=event, told_at=now
        )
        session.execute(
            statement.on_conflict_do_update(
                index_elements=["alarm_id", "sink"], set_={"event": event, "told_at": now}
            )
        )


def forget(session: Session, now: datetime, after: timedelta) -> int:
    """Delete what was cleared so long ago; returns how many."""
    old = select(AlarmRow.id).where(AlarmRow.cleared_at < now - after).scalar_subquery()
    session.execute(delete(AlarmTellingRow).where(AlarmTellingRow.alarm_id.in_(old)))
    return affected(session, delete(AlarmRow).where(AlarmRow.cleared_at < now - after))


def _kept(session: Session, which: ColumnElement[bool]) -> list[KeptAlarm]:
    rows = session.scalars(select(AlarmRow).where(which).order_by(AlarmRow.since, AlarmRow.id)).all()
    tellings: dict[int, dict[str, Telling]] = {row.id: {} for row in rows}
    for telling in session.scalars(select(AlarmTellingRow).where(AlarmTellingRow.alarm_id.in_(tellings))):
        tellings[telling.alarm_id][telling.sink] = Telling(event=cast("Event", telling.event), told_at=telling.told_at)
    return [_alarm(row, tellings[row.id]) for row in rows]


def _alarm(row: AlarmRow, tellings: Mapping[str, Telling] | None = None) -> KeptAlarm:
    return KeptAlarm(
        alarm_id=row.id, name=row.name, severity=row.severity, text=row.text, since=row.since,
        last_seen_at=row.last_seen_at, cleared_at=row.cleared_at, tellings=tellings or {},
    )
