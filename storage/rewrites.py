"""Results written again in another form, for a destination that refused one.

A destination that takes no Label Map Segmentation gets a BINARY one, and its report is written anew beside that. The
findings of a job are kept, so nothing is computed again: what it gets instead is written from them.

    WAITING ──written──▶ DONE
       │ a later revision has its answer ──▶ WITHDRAWN
       └ it cannot be written, or its worker was lost twice ──▶ FAILED, and what was replaced is dead
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, update

from radnode.storage import outbox
from radnode.storage.catalog import add_event, lock_series_of
from radnode.storage.jobs import JobState
from radnode.storage.outbox import DeliveryState
from radnode.storage.results import record
from radnode.storage.tables import DeliveryRow, JobRow, ResultObjectRow, RewriteRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from radnode.storage.outbox import Delivery
    from radnode.storage.results import NewResultObject

MOST_LOSSES = 2
"""A rewrite whose worker is lost twice is given up."""


class NotReplaceable(Exception):
    """The job cannot be written again; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """Objects to write from the kept findings of a job, for one destination.

    instead: the form among them that says what the refused one said.
    """

    rewrite_id: int
    job_id: int
    destination: str
    names: tuple[str, ...]
    instead: str


def refused_of_job(session: Session, job_id: int, destination: str) -> frozenset[str]:
    """The forms of a job's objects that this destination did not take and that were to be replaced."""
    return frozenset(
        session.scalars(
            select(ResultObjectRow.form)
            .join(DeliveryRow, DeliveryRow.result_object_id == ResultObjectRow.id)
            .join(RewriteRow, RewriteRow.delivery_id == DeliveryRow.id)
            .where(RewriteRow.job_id == job_id, RewriteRow.destination == destination)
        )
    )


def replace(
    session: Session, delivery: Delivery, names: Sequence[str], *, instead: str, status: int | None, reason: str,
    now: datetime,
) -> None:
    """Have the job's findings written as these objects, instead of what was refused and of what refers to it.

    instead: the form among them that says the same as the refused one. Raises :class:`NotReplaceable`,
    :class:`~radnode.storage.outbox.DeliveryLost`; nothing may be committed then.
    """
    lock_series_of(session, delivery.job_id)
    job = session.get_one(JobRow, delivery.job_id, populate_existing=True)
    if job.state != JobState.PRODUCED:
        raise NotReplaceable(f"the job is {job.state}, so it is not written in another form")
    if job.findings_digest is None:
        raise NotReplaceable("its findings are not kept, so it cannot be written in another form")
    reason = f"replaced by {instead}: {reason}"
    outbox.replaced(session, delivery, status, reason)
    other = select(ResultObjectRow.id).where(
        ResultObjectRow.job_id == delivery.job_id, ResultObjectRow.name.not_in(list(names))
    )
    referring = session.scalars(
        update(DeliveryRow)
        .where(
            DeliveryRow.job_id == delivery.job_id, DeliveryRow.destination == delivery.destination,
            DeliveryRow.state == DeliveryState.WAITING, DeliveryRow.result_object_id.in_(other),
        )
        .values(state=DeliveryState.REPLACED, reason=reason)
        .returning(DeliveryRow.id)
        .execution_options(synchronize_session=False)
    )
    session.execute(
        insert(RewriteRow).values(
            job_id=delivery.job_id, destination=delivery.destination, names=list(names), state="WAITING",
            delivery_id=delivery.delivery_id, referring=list(referring), instead=instead, reason=reason, losses=0,
            created_at=now,
        )
    )
    detail = {"destination": delivery.destination, "form": delivery.form, "objects": list(names), "reason": reason}
    _event(session, delivery.job_id, "result replaced", detail, now)


def next_rewrite(session: Session) -> Rewrite | None:
    """The oldest that waits. It waits until it is recorded, so that it is found again after a crash."""
    row = session.scalars(select(RewriteRow).where(RewriteRow.state == "WAITING").order_by(RewriteRow.id)).first()
    if row is None:
        return None
    return Rewrite(
        rewrite_id=row.id, job_id=row.job_id, destination=row.destination, names=tuple(row.names), instead=row.instead
    )


def rewritten(session: Session, rewrite: Rewrite, objects: Sequence[NewResultObject], now: datetime) -> None:
    """Record what was written and send it; nothing if a later revision came meanwhile.

    Where these findings have nothing to show in the form that was to replace the refused one, that one is dead: what
    it said does not reach the destination, and somebody must know.
    """
    row = _waiting(session, rewrite, now)
    if row is None:
        return
    record(session, rewrite.job_id, objects, {rewrite.destination: rewrite.names}, now)
    row.state = "DONE"
    if rewrite.instead not in {each.form for each in objects}:
        _dead(session, [row.delivery_id], f"refused, and {rewrite.instead} has nothing to show of these findings")


def not_rewritten(session: Session, rewrite: Rewrite, reason: str, now: datetime, *, again: bool) -> None:
    """It could not be written. again: a worker was lost, which may be an accident. What was replaced is dead then."""
    row = _waiting(session, rewrite, now)
    if row is None:
        return
    row.losses += again
    if again and row.losses < MOST_LOSSES:
        return
    row.state, row.reason = "FAILED", reason
    _dead(session, [row.delivery_id, *row.referring], f"refused, and could not be written in another form: {reason}")
    _event(session, rewrite.job_id, "result not replaced", {"destination": rewrite.destination, "reason": reason}, now)


def _waiting(session: Session, rewrite: Rewrite, now: datetime) -> RewriteRow | None:
    """Its row, or None if it was recorded already or a later revision has its answer, which nothing may follow."""
    lock_series_of(session, rewrite.job_id)
    row = session.get_one(RewriteRow, rewrite.rewrite_id, populate_existing=True)
    if row.state != "WAITING":
        return None
    if session.scalar(select(JobRow.state).where(JobRow.id == rewrite.job_id)) == JobState.PRODUCED:
        return row
    row.state = "WITHDRAWN"
    _event(session, rewrite.job_id, "rewriting withdrawn", {"destination": rewrite.destination}, now)
    return None


def _dead(session: Session, delivery_ids: Sequence[int], reason: str) -> None:
    session.execute(
        update(DeliveryRow)
        .where(DeliveryRow.id.in_(delivery_ids), DeliveryRow.state == DeliveryState.REPLACED)
        .values(state=DeliveryState.DEAD, reason=reason)
    )


def _event(session: Session, job_id: int, kind: str, detail: dict[str, Any], now: datetime) -> None:
    add_event(session, kind, detail=detail, now=now, job_id=job_id)
