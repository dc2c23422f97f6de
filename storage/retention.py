"""Deleting what is old and settled; the ledger remembers it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, delete, exists, insert, or_, select
from sqlalchemy.orm import aliased

from radnode.storage import ledger, listing, priors
from radnode.storage.acknowledgements import Expiry
from radnode.storage.ledger import InstanceState
from radnode.storage.tables import (
    DeliveryRow,
    HeaderRow,
    InstanceRow,
    JobInputRow,
    JobRow,
    RemovalRow,
    RewriteRow,
    SeriesRow,
)
from radnode.storage.transfer_tables import TransferRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Select
    from sqlalchemy.orm import Session

    from radnode.storage.database import Database
    from radnode.storage.files import FileStore

_LIVE_JOBS = ("WAITING", "RUNNING")
_LIVE_DELIVERIES = ("WAITING", "SENDING")


def expire(database: Database, store: FileStore, older_than: datetime, now: datetime, limit: int) -> int:
    """Delete images received before `older_than` that no open series, job or delivery needs; returns how many.

    A result that was sent and not found yet needs its images as well, until it was sent before `older_than`. The ledger
    says of images that went without a confirmed result that it was so.

    The row says EXPIRED before the file goes, and a note in the same transaction sees to it that the file does go: a
    crash in between leaves neither a row without bytes nor a file for ever. Bytes that another instance shares stay.
    Results are kept: they are small, and a PACS may ask for a resend.
    """
    _remove_files(database, store, now)
    with database.begin() as session:
        found = session.execute(_settled(older_than).limit(limit)).all()
        expired = 0
        for reason in _REASONS:
            these = [number for number, dead, sent in found if _reason(dead=dead, sent=sent) == reason]
            expired += let_go(session, these, reason, now)
    _remove_files(database, store, now)
    return expired


def let_go(session: Session, instance_ids: Sequence[int], reason: str, now: datetime) -> int:
    """These are EXPIRED, without a header, and their files noted for removal; returns how many were not so before."""
    expired = ledger.move(session, instance_ids, InstanceState.EXPIRED, reason=reason, now=now)
    for some in ledger.portions(instance_ids):
        session.execute(delete(HeaderRow).where(HeaderRow.instance_id.in_(some)))
    listing.forget(session, instance_ids)
    if instance_ids:
        session.execute(insert(RemovalRow), [{"instance_id": each} for each in instance_ids])
    return expired


def _reason(*, dead: bool, sent: bool) -> str:
    if dead:
        return "retention; results of it were given up"
    return "retention; results of it were sent, but never found at their destination" if sent else "retention"


_REASONS = [_reason(dead=False, sent=False), _reason(dead=False, sent=True), _reason(dead=True, sent=False)]


def _settled(older_than: datetime) -> Select[int, bool, bool]:
    """Instances, oldest first, that nothing waits for; of each whether a result is dead, and whether one is unproven.

    They stay locked until the transaction ends.
    """
    live_job = exists().where(
        JobInputRow.instance_id == InstanceRow.id,
        JobRow.id == JobInputRow.job_id,
        JobRow.state.in_(_LIVE_JOBS),
    )
    delivery = exists().where(
        JobInputRow.instance_id == InstanceRow.id, DeliveryRow.job_id == JobInputRow.job_id
    )
    live_delivery = delivery.where(or_(
        DeliveryRow.state.in_(_LIVE_DELIVERIES),
        and_(DeliveryRow.state == "SENT", DeliveryRow.sent_at >= older_than),
    ))
    live_rewrite = exists().where(
        JobInputRow.instance_id == InstanceRow.id,
        RewriteRow.job_id == JobInputRow.job_id,
        RewriteRow.state == "WAITING",
    )
    return (
        select(
            InstanceRow.id,
            delivery.where(DeliveryRow.state == "DEAD").label("dead"),
            delivery.where(DeliveryRow.state == "SENT").label("sent"),
        )
        .join(SeriesRow, SeriesRow.id == InstanceRow.series_id)
        .where(
            InstanceRow.state.in_(ledger.ALLOWED[InstanceState.EXPIRED]),
            InstanceRow.received_at < older_than,
            SeriesRow.state != "OPEN",
            ~live_job,
            ~priors.needed(_LIVE_JOBS),
            ~live_delivery,
            ~live_rewrite,
            ~exists().where(TransferRow.instance_id == InstanceRow.id, TransferRow.state == "WAITING"),
        )
        .order_by(InstanceRow.received_at)
        .with_for_update(of=InstanceRow, skip_locked=True)
    )


def _remove_files(database: Database, store: FileStore, now: datetime) -> None:
    """Delete what is noted for removal and no other instance needs; then forget the notes.

    The deletion is written down beside the images first, so that a rebuilt ledger does not miss the files.
    """
    other = aliased(InstanceRow)
    needed = exists().where(
        other.sop_instance_uid == InstanceRow.sop_instance_uid,  # part of the bytes, and it has an index
        other.digest == InstanceRow.digest,
        other.state != InstanceState.EXPIRED,
    )
    with database.read() as session:
        notes = session.execute(
            select(RemovalRow.id, InstanceRow.sop_instance_uid, InstanceRow.digest, needed)
            .join(InstanceRow, InstanceRow.id == RemovalRow.instance_id)
        ).all()
    if not notes:
        return
    store.note([Expiry(sop_instance_uid=uid, digest=digest, at=now) for _, uid, digest, _ in notes])
    store.flush_notes()
    for _, _, digest, is_needed in notes:
        if not is_needed:
            store.remove(digest)
    with database.begin() as session:
        for some in ledger.portions(row.id for row in notes):
            session.execute(delete(RemovalRow).where(RemovalRow.id.in_(some)))
