"""A ledger that was lost, or is an older copy, brought up to what was acknowledged. Nothing known is changed.

Only for a stopped node: the caller holds the lock of the data folder.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from sqlalchemy import make_url, select, tuple_, update

from radnode.storage import ledger, receptions, retention
from radnode.storage.database import Database
from radnode.storage.errors import DatabaseUnavailable
from radnode.storage.ledger import InstanceState
from radnode.storage.tables import InstanceRow, SeriesRow, StudyRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy.orm import Session

    from radnode.storage.acknowledgements import Acknowledgements, Expiry
    from radnode.storage.receptions import Reception

AT_ONCE = 250
"""Entries in one transaction."""


def knows(session: Session, received: Reception) -> bool:
    """Whether the ledger has this instance."""
    return bool(_known(session, [received]))


def forgotten(database: Database, lines: Acknowledgements) -> str:
    """Why a node must not work on this database: it would forget what senders were told is stored. Empty if it may."""
    last = lines.last()
    if last is None:
        return ""
    with database.read() as session:
        if knows(session, last):
            return ""
    return (
        f"the database does not know what was acknowledged at {last.received_at:%Y-%m-%d %H:%M:%S} UTC: it was lost, "
        "or is an older copy. Run `radnode reindex`, which makes it whole from the images"
    )


def set_aside_if_damaged(url: str, file: Path, now: datetime) -> Path | None:
    """Rename an SQLite file that cannot be read whole, with what belongs to it; its new name, None if it is sound.

    What a database that is gone left behind (`-wal`, `-shm`) goes aside as well: it belongs to no other.
    """
    if make_url(url).get_backend_name() != "sqlite":
        return None
    there = file.exists()
    if there and _is_sound(url):
        return None
    aside = file.with_name(f"{file.name}.damaged-{now:%Y%m%dT%H%M%S}")
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            file.with_name(file.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside if there else None


def enter(database: Database, received: Iterable[Reception]) -> list[Reception]:
    """Record what the ledger does not know, as if it arrived now in this order; returns that."""
    added: list[Reception] = []
    for some in ledger.portions(received, AT_ONCE):
        with database.begin() as session:
            known = _known(session, some)
            fresh = {_identity(each): each for each in reversed(some) if _identity(each) not in known}
            batch = [each for each in some if fresh.get(_identity(each)) is each]
            receptions.record(session.connection(), batch)
        added += batch
    return added


def expire(database: Database, expired: Iterable[Expiry], now: datetime) -> int:
    """Let the ledger say again that these were deleted; returns how many it did not know of.

    A file that came again is noted for removal, as at its reception.
    """
    number = 0
    for some in ledger.portions(expired, AT_ONCE):
        with database.begin() as session:
            ids = list(session.scalars(
                select(InstanceRow.id).where(
                    tuple_(InstanceRow.sop_instance_uid, InstanceRow.digest).in_(
                        {(each.sop_instance_uid, each.digest) for each in some}
                    ),
                    InstanceRow.state.in_(ledger.ALLOWED[InstanceState.EXPIRED]),
                )
            ))
            number += retention.let_go(session, ids, "retention", now)
            session.execute(update(InstanceRow).where(InstanceRow.id.in_(ids)).values(indexed=True))
    with database.begin() as session:
        _close_what_is_gone(session, now)
    return number


def studies_of(database: Database, digests: Iterable[str]) -> list[str]:
    """The Study Instance UIDs of these instances."""
    found: set[str] = set()
    for some in ledger.portions(digests, AT_ONCE):
        with database.read() as session:
            found.update(session.scalars(
                select(StudyRow.study_instance_uid)
                .join(SeriesRow, SeriesRow.study_id == StudyRow.id)
                .join(InstanceRow, InstanceRow.series_id == SeriesRow.id)
                .where(InstanceRow.digest.in_(some))
            ))
    return sorted(found)


def mark_missing(database: Database, digests: Iterable[str], now: datetime) -> None:
    """These were entered, but there is no file: their series wait until the source has sent them again."""
    for some in ledger.portions(digests, AT_ONCE):
        with database.begin() as session:
            ids = list(session.scalars(
                select(InstanceRow.id).where(
                    InstanceRow.digest.in_(some), InstanceRow.state == InstanceState.RECEIVED
                )
            ))
            ledger.move(session, ids, InstanceState.QUARANTINED, reason=ledger.FILE_MISSING, now=now)
            session.execute(update(InstanceRow).where(InstanceRow.id.in_(ids)).values(indexed=True))


def _close_what_is_gone(session: Session, now: datetime) -> None:
    """An open series of which nothing is left has nothing to be judged by."""
    left = select(InstanceRow.id).where(
        InstanceRow.series_id == SeriesRow.id, InstanceRow.state != InstanceState.EXPIRED
    )
    session.execute(
        update(SeriesRow)
        .where(SeriesRow.state == "OPEN", ~left.exists())
        .values(state="CLOSED", reason="all of it was deleted by retention", closed_at=now)
    )


def _is_sound(url: str) -> bool:
    database = Database(url, read_only=True)
    try:
        return database.is_sound()
    except DatabaseUnavailable:
        return False
    finally:
        database.close()


def _identity(received: Reception) -> tuple[str, str, str]:
    return received.sop_instance_uid, received.digest, received.series_instance_uid


def _known(session: Session, received: Sequence[Reception]) -> set[tuple[str, str, str]]:
    rows = session.execute(
        select(InstanceRow.sop_instance_uid, InstanceRow.digest, SeriesRow.series_instance_uid)
        .join(SeriesRow, SeriesRow.id == InstanceRow.series_id)
        .where(InstanceRow.sop_instance_uid.in_({each.sop_instance_uid for each in received}))
    )
    return {(uid, digest, series) for uid, digest, series in rows}
