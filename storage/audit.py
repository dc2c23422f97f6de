"""Audit messages, kept in order: appended, read, sent, and after their time deleted from the front.

Each has a digest over the one before, so that a message that is changed or taken out of the middle is found
(:func:`broken_at`). Whoever can write the whole database can also write a new chain: a syslog server has what he
cannot reach.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, insert, select, update

from radnode.storage.access_tables import AuditMarkRow, AuditRow
from radnode.storage.catalog import affected
from radnode.storage.dialects import insert_for
from radnode.storage.tables import plain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

_NEWEST, _FORGOTTEN = "digest", "forgotten"
"""Marks: the digest of the newest message, and of the newest that was deleted."""
AT_ONCE = 5_000
"""Messages that are deleted in one transaction: on SQLite nobody else writes meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """event: its name (PS3.15 A.5.3). outcome: 0, 4, 8 or 12. message: XML."""

    at: datetime
    event: str
    outcome: int
    who: str
    study_instance_uid: str | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptMessage(NewMessage):
    """A message and whether the syslog server has it."""

    message_id: int
    digest: str
    sent_at: datetime | None


def append(session: Session, messages: Sequence[NewMessage]) -> None:
    """At the end, one writer at a time until the transaction ends."""
    if not messages:
        return
    digest = mark(session, _NEWEST, lock=True) or ""
    rows = []
    for each in messages:
        digest = _digest(digest, plain(each.message))
        rows.append({
            "at": each.at, "event": each.event, "outcome": each.outcome, "who": each.who, "message": each.message,
            "study_instance_uid": each.study_instance_uid, "digest": digest,
        })
    session.execute(insert(AuditRow), rows)
    set_mark(session, _NEWEST, digest)


def newest(
    session: Session, limit: int, *, study_instance_uid: str | None = None, event: str | None = None,
    before: int | None = None, who: str | None = None, since: datetime | None = None, until: datetime | None = None,
) -> list[KeptMessage]:
    """The newest first; `before`: those with a smaller number. since, until: when it happened, without `until`."""
    where = [
        column == value for column, value in (
            (AuditRow.study_instance_uid, study_instance_uid), (AuditRow.event, event), (AuditRow.who, who)
        ) if value is not None
    ]
    if before is not None:
        where.append(AuditRow.id < before)
    if since is not None:  # times grow with numbers, by which the list is ordered: only that part of it is gone through
        first = session.scalar(select(AuditRow.id).where(AuditRow.at >= since).order_by(AuditRow.at).limit(1))
        where += [AuditRow.id >= (first if first is not None else 2**62), AuditRow.at >= since]
    if until is not None:
        last = session.scalar(select(AuditRow.id).where(AuditRow.at < until).order_by(AuditRow.at.desc()).limit(1))
        where += [AuditRow.id <= (last or 0), AuditRow.at < until]
    return _kept(session.scalars(select(AuditRow).where(*where).order_by(AuditRow.id.desc()).limit(limit)).all())


def waiting(session: Session, limit: int) -> list[KeptMessage]:
    """Not sent yet, in order."""
    return _kept(
        session.scalars(select(AuditRow).where(AuditRow.sent_at.is_(None)).order_by(AuditRow.id).limit(limit)).all()
    )


def waits(session: Session) -> tuple[int, datetime | None]:
    """How many are not sent, and since when the oldest waits."""
    number, oldest = session.execute(
        select(func.count(), func.min(AuditRow.at)).where(AuditRow.sent_at.is_(None))
    ).one()
    return number, oldest


def sent(session: Session, message_ids: Sequence[int], now: datetime) -> None:
    """The syslog server has these."""
    session.execute(update(AuditRow).where(AuditRow.id.in_(message_ids)).values(sent_at=now))


def forget(session: Session, before: datetime, most: int, at_once: int = AT_ONCE) -> int:
    """Delete from the front what is older, and what is more than so many; returns how many, at most `at_once`."""
    newest_id = session.scalar(select(func.max(AuditRow.id))) or 0
    last = session.scalar(
        select(func.max(AuditRow.id)).where((AuditRow.at < before) | (AuditRow.id <= newest_id - most))
    )
    if last is None:
        return 0
    portion = select(AuditRow.id).where(AuditRow.id <= last).order_by(AuditRow.id).limit(at_once).subquery()
    last = session.scalar(select(func.max(portion.c.id)))
    digest = session.scalar(select(AuditRow.digest).where(AuditRow.id == last))
    set_mark(session, _FORGOTTEN, digest or "")
    return affected(session, delete(AuditRow).where(AuditRow.id <= last))


def broken_at(session: Session) -> int | None:
    """The number of the first message that was changed or before which one is missing; None if all are there."""
    digest = mark(session, _FORGOTTEN) or ""
    rows = session.execute(
        select(AuditRow.id, AuditRow.message, AuditRow.digest).order_by(AuditRow.id).execution_options(yield_per=1000)
    )
    last = 0
    for number, message, said in rows:
        digest = _digest(digest, message)
        if digest != said:
            return int(number)
        last = number
    return None if digest == (mark(session, _NEWEST) or "") else last + 1


def mark(session: Session, name: str, *, lock: bool = False) -> str | None:
    """How far something was followed. lock: nobody else reads it so until the transaction ends."""
    statement = select(AuditMarkRow.value).where(AuditMarkRow.name == name)
    if not lock:
        return session.scalar(statement)
    session.execute(insert_for(session, AuditMarkRow).values(name=name, value="").on_conflict_do_nothing())
    return session.scalar(statement.with_for_update())


def set_mark(session: Session, name: str, value: str) -> None:
    """It was followed so far."""
    statement = insert_for(session, AuditMarkRow).values(name=name, value=value)
    session.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": value}))


def _digest(before: str, message: str) -> str:
    return hashlib.sha256(f"{before}\n{message}".encode()).hexdigest()


def _kept(rows: Sequence[AuditRow]) -> list[KeptMessage]:
    return [
        KeptMessage(
            message_id=row.id, at=row.at, event=row.event, outcome=row.outcome, who=row.who, digest=row.digest,
            study_instance_uid=row.study_instance_uid, message=row.message, sent_at=row.sent_at,
        )
        for row in rows
    ]
