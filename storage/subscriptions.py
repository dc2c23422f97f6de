"""Who is told of work items, and what is still to be told. A notice is written in the transaction of what it tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, insert, select, update

from radnode.storage.catalog import affected
from radnode.storage.dialects import insert_for
from radnode.storage.subscription_tables import NoticeRow, SubscriptionRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

GLOBAL = "1.2.840.10008.5.1.4.34.5"
FILTERED = "1.2.840.10008.5.1.4.34.5.1"
"""UPS Global and UPS Filtered Global Subscription SOP Instance (PS3.4 CC.2.3.1)."""
STATE, CANCEL_REQUESTED, PROGRESS = 1, 2, 3
"""Event Type IDs (PS3.4 Table CC.2.4-1)."""
MOST = 1000
_STATE_TAGS, _PROGRESS_TAG = ("00741000", "00404041"), "00741002"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """See :class:`~radnode.storage.subscription_tables.SubscriptionRow`."""

    subscriber: str
    uid: str
    keys: tuple[tuple[str, str], ...]
    suspended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """See :class:`~radnode.storage.subscription_tables.NoticeRow`."""

    number: int
    subscriber: str
    uid: str
    event_type: int
    content: dict[str, Any]
    at: datetime


def subscribe(
    session: Session, subscriber: str, uid: str, keys: Sequence[tuple[str, str]], now: datetime
) -> bool:
    """From now on; a second time with other keys changes them. False where there are too many already."""
    others = select(func.count()).where((SubscriptionRow.subscriber != subscriber) | (SubscriptionRow.uid != uid))
    if (session.scalar(others) or 0) >= MOST:
        return False
    values = {"keys": [list(pair) for pair in keys], "suspended_at": None}
    session.execute(
        insert_for(session, SubscriptionRow).values(subscriber=subscriber, uid=uid, created_at=now, **values)
        .on_conflict_do_update(index_elements=["subscriber", "uid"], set_=values)
    )
    return True


def unsubscribe(session: Session, subscriber: str, uid: str) -> bool:
    """Tell it no more; from all of them where `uid` is the global one. False where it was told of nothing there."""
    which = delete(SubscriptionRow).where(SubscriptionRow.subscriber == subscriber)
    return bool(affected(session, which if uid == GLOBAL else which.where(SubscriptionRow.uid == uid)))


def suspend(session: Session, subscriber: str, uid: str, now: datetime) -> bool:
    """Tell it of nothing that is created from now on; False where it has no such subscription."""
    return bool(affected(
        session,
        update(SubscriptionRow).where(SubscriptionRow.subscriber == subscriber, SubscriptionRow.uid == uid)
        .values(suspended_at=func.coalesce(SubscriptionRow.suspended_at, now)),
    ))


def everybody(session: Session) -> list[Subscription]:
    """All subscriptions."""
    return [
        Subscription(subscriber=row.subscriber, uid=row.uid, suspended_at=row.suspended_at,
                     keys=tuple((name, value) for name, value in row.keys))
        for row in session.scalars(select(SubscriptionRow).order_by(SubscriptionRow.subscriber, SubscriptionRow.uid))
    ]


def note_change(
    session: Session, uid: str, before: Mapping[str, Any], after: Mapping[str, Any], now: datetime
) -> None:
    """Have it told what changed of an item, where that is worth an event. before, after: its attributes."""
    if any(before.get(tag) != after.get(tag) for tag in _STATE_TAGS):
        note(session, uid, STATE, after, now)
    elif before.get(_PROGRESS_TAG) != after.get(_PROGRESS_TAG):
        note(session, uid, PROGRESS, after, now)


def note(session: Session, uid: str, event_type: int, content: Mapping[str, Any], now: datetime) -> None:
    """Have it told; nothing is written where nobody listens."""
    if session.scalar(select(SubscriptionRow.uid).limit(1)) is not None:
        address(session, [("", uid, event_type, content, now)])


def address(session: Session, notices: Sequence[tuple[str, str, int, Mapping[str, Any], datetime]]) -> None:
    """Put notices on their way: (subscriber, uid, event type, content, time) each."""
    if notices:
        session.execute(insert(NoticeRow), [
            {"subscriber": subscriber, "uid": uid, "event_type": event_type, "content": dict(content), "at": at}
            for subscriber, uid, event_type, content, at in notices
        ])


def waiting(session: Session, subscriber: str, limit: int) -> list[Notice]:
    """What is to be told to one, in its order; an empty name: what nobody is named for yet."""
    rows = session.scalars(
        select(NoticeRow).where(NoticeRow.subscriber == subscriber).order_by(NoticeRow.id).limit(limit)
    )
    return [
        Notice(number=row.id, subscriber=row.subscriber, uid=row.uid, event_type=row.event_type, content=row.content,
               at=row.at)
        for row in rows
    ]


def addressed(session: Session) -> list[str]:
    """Subscribers for whom something waits."""
    return list(session.scalars(
        select(NoticeRow.subscriber).where(NoticeRow.subscriber != "").distinct().order_by(NoticeRow.subscriber)
    ))


def told(session: Session, numbers: Sequence[int]) -> None:
    """These are done with."""
    session.execute(delete(NoticeRow).where(NoticeRow.id.in_(numbers)))


def forget_late(session: Session, older_than: datetime) -> int:
    """What could not be told in time; how many."""
    return affected(session, delete(NoticeRow).where(NoticeRow.at < older_than))


def forget_items(session: Session, uids: Sequence[str]) -> None:
    """These items are gone, and whoever was told of them alone is told no more."""
    session.execute(delete(SubscriptionRow).where(SubscriptionRow.uid.in_(uids)))
