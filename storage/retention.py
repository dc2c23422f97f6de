"""Deleting what is old and settled; the ledger remembers it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, exists, select

from radnode.storage import ledger
from radnode.storage.ledger import InstanceState
from radnode.storage.tables import DeliveryRow, HeaderRow, InstanceRow, JobInputRow, JobRow, SeriesRow

if TYPE_CHECKING:
    from datetime import datetime

    from radnode.storage.database import Database
    from radnode.storage.files import FileStore

_LIVE_JOBS = ("WAITING", "RUNNING")
_LIVE_DELIVERIES = ("WAITING", "SENDING")


def expire(database: Database, store: FileStore, older_than: datetime, now: datetime, limit: int) -> int:
    """Delete images received before `older_than` that no open series, job or delivery needs; returns how many.

    The row says EXPIRED before the file goes: a crash in between leaves a file nobody needs, never a row without bytes.
    Bytes that another instance shares stay. Results are kept: they are small, and a PACS may ask for a resend.
    """
    with database.begin() as session:
        live_job = exists().where(
            JobInputRow.instance_id == InstanceRow.id,
            JobRow.id == JobInputRow.job_id,
            JobRow.state.in_(_LIVE_JOBS),
        )
        live_delivery = exists().where(
            JobInputRow.instance_id == InstanceRow.id,
            DeliveryRow.job_id == JobInputRow.job_id,
            DeliveryRow.state.in_(_LIVE_DELIVERIES),
        )
        rows = session.execute(
            select(InstanceRow.id, InstanceRow.digest)
            .join(SeriesRow, SeriesRow.id == InstanceRow.series_id)
            .where(
                InstanceRow.state.in_(ledger.ALLOWED[InstanceState.EXPIRED]),
                InstanceRow.received_at < older_than,
                SeriesRow.state != "OPEN",
                ~live_job,
                ~live_delivery,
            )
            .order_by(InstanceRow.received_at)
            .limit(limit)
        ).all()
        ids = [row.id for row in rows]
        ledger.move(session, ids, InstanceState.EXPIRED, reason="retention", now=now)
        session.execute(delete(HeaderRow).where(HeaderRow.instance_id.in_(ids)))
    for row in rows:
        with database.read() as session:
            shared = session.scalar(
                select(InstanceRow.id)
                .where(InstanceRow.digest == row.digest, InstanceRow.state != InstanceState.EXPIRED)
                .limit(1)
            )
        if shared is None:
            store.remove(row.digest)
    return len(rows)
