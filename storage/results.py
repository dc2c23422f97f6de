"""Result objects: recorded with their deliveries, and written again in another form where a destination refused one.

A destination that takes no Label Map Segmentation gets a BINARY one. The findings of a job are kept, so nothing is
computed again; what it gets instead is written from them (:class:`Rewrite`). A form refused by its presentation
context is remembered as long as the peer is configured as it was: later jobs are written for it rightly at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select, update

from radnode.storage.catalog import add_event, affected
from radnode.storage.dialects import insert_for
from radnode.storage.tables import DeliveryRow, JobRow, RefusedFormRow, ResultObjectRow, RewriteRow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

MOST_ATTEMPTS = 2
"""A rewrite whose worker is lost twice is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewResultObject:
    """A result object whose bytes are kept under `digest`. name: which object of the job; order: its send order."""

    name: str
    form: str
    order: int
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    digest: str
    size_bytes: int
    references: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A form that a destination does not take, and since when."""

    destination: str
    form: str
    reason: str
    refused_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """Objects to write from the kept findings of a job, for one destination."""

    rewrite_id: int
    job_id: int
    destination: str
    names: tuple[str, ...]


def record(
    session: Session,
    job_id: int,
    objects: Iterable[NewResultObject],
    destinations: Mapping[str, Collection[str]],
    now: datetime,
) -> None:
    """Insert what is new, and queue each object for the destinations that get it and have no delivery of it yet.

    destinations: name -> names of the objects it gets. An object that is recorded keeps its bytes.
    """
    for each in objects:
        known = session.scalar(
            select(ResultObjectRow.id).where(
                ResultObjectRow.sop_instance_uid == each.sop_instance_uid,
                ResultObjectRow.job_id == job_id,
                ResultObjectRow.name == each.name,
            )
        )
        result_object_id = known if known is not None else session.execute(
            insert(ResultObjectRow)
            .values(
                job_id=job_id, name=each.name, form=each.form, send_order=each.order,
                sop_class_uid=each.sop_class_uid, sop_instance_uid=each.sop_instance_uid,
                series_instance_uid=each.series_instance_uid, transfer_syntax_uid=each.transfer_syntax_uid,
                digest=each.digest, size_bytes=each.size_bytes, references=list(each.references),
            )
            .returning(ResultObjectRow.id)
        ).scalar_one()
        for destination in [name for name, wanted in destinations.items() if each.name in wanted]:
            session.execute(
                insert_for(session, DeliveryRow)
                .values(
                    result_object_id=result_object_id, job_id=job_id, send_order=each.order,
                    destination=destination, state="WAITING", reason="", token=0, attempts=0,
                    due_at=now, created_at=now,
                )
                .on_conflict_do_nothing(index_elements=["result_object_id", "destination"])
            )


def refusals(session: Session, destination: str, peer_digest: str) -> frozenset[str]:
    """The forms that a destination, configured as this digest says, is known not to take."""
    return frozenset(
        session.scalars(
            select(RefusedFormRow.form).where(
                RefusedFormRow.destination == destination, RefusedFormRow.peer_digest == peer_digest
            )
        )
    )


def all_refusals(session: Session) -> list[Refusal]:
    """Everything remembered, by destination and form."""
    rows = session.scalars(select(RefusedFormRow).order_by(RefusedFormRow.destination, RefusedFormRow.form))
    return [
        Refusal(destination=row.destination, form=row.form, reason=row.reason, refused_at=row.refused_at)
        for row in rows
    ]


def remember_refusal(
    session: Session, destination: str, form: str, peer_digest: str, reason: str, now: datetime
) -> None:
    """From now on this destination is not offered this form."""
    said = {"peer_digest": peer_digest, "reason": reason, "refused_at": now}
    session.execute(
        insert_for(session, RefusedFormRow)
        .values(destination=destination, form=form, **said)
        .on_conflict_do_update(index_elements=["destination", "form"], set_=said)
    )


def forget_refusals(session: Session, destination: str) -> int:
    """Offer everything again; returns how many forms were remembered."""
    return affected(session, delete(RefusedFormRow).where(RefusedFormRow.destination == destination))


def refused_of_job(session: Session, job_id: int, destination: str) -> frozenset[str]:
    """The forms of a job's objects that this destination did not take and that were replaced."""
    return frozenset(
        session.scalars(
            select(ResultObjectRow.form)
            .join(DeliveryRow, DeliveryRow.result_object_id == ResultObjectRow.id)
            .where(
                DeliveryRow.job_id == job_id, DeliveryRow.destination == destination,
                DeliveryRow.state == "REPLACED", DeliveryRow.status.is_not(None),
            )
        )
    )


def replace(
    session: Session, job_id: int, destination: str, names: Sequence[str], reason: str, now: datetime
) -> bool:
    """Have the job's findings written as these objects, and withdraw what waits under other names.

    False when the findings are not kept, or a later revision has its answer: then nothing is changed.
    """
    job = session.get_one(JobRow, job_id, populate_existing=True)
    if job.findings_digest is None or job.state != "PRODUCED":
        return False
    other = select(ResultObjectRow.id).where(
        ResultObjectRow.job_id == job_id, ResultObjectRow.name.not_in(list(names))
    )
    session.execute(
        update(DeliveryRow)
        .where(
            DeliveryRow.job_id == job_id, DeliveryRow.destination == destination, DeliveryRow.state == "WAITING",
            DeliveryRow.result_object_id.in_(other),
        )
        .values(state="REPLACED", reason=reason)
    )
    session.execute(
        insert(RewriteRow).values(
            job_id=job_id, destination=destination, names=list(names), state="WAITING", reason=reason, attempts=0,
            created_at=now,
        )
    )
    detail = {"destination": destination, "objects": list(names), "reason": reason}
    _event(session, job_id, "result replaced", detail, now)
    return True


def next_rewrite(session: Session) -> Rewrite | None:
    """The oldest that waits, counted as one more attempt."""
    row = session.scalars(select(RewriteRow).where(RewriteRow.state == "WAITING").order_by(RewriteRow.id)).first()
    if row is None:
        return None
    session.execute(update(RewriteRow).where(RewriteRow.id == row.id).values(attempts=RewriteRow.attempts + 1))
    return Rewrite(rewrite_id=row.id, job_id=row.job_id, destination=row.destination, names=tuple(row.names))


def rewritten(session: Session, rewrite: Rewrite, objects: Iterable[NewResultObject], now: datetime) -> None:
    """Record what was written and send it; nothing if a later revision came meanwhile."""
    job = session.get_one(JobRow, rewrite.job_id, populate_existing=True)
    state = "DONE" if job.state == "PRODUCED" else "WITHDRAWN"
    if state == "DONE":
        record(session, rewrite.job_id, objects, {rewrite.destination: rewrite.names}, now)
    session.execute(update(RewriteRow).where(RewriteRow.id == rewrite.rewrite_id).values(state=state))


def not_rewritten(session: Session, rewrite: Rewrite, reason: str, now: datetime, *, again: bool) -> None:
    """It could not be written. again: a worker was lost, which may be an accident. What was replaced is dead then."""
    row = session.get_one(RewriteRow, rewrite.rewrite_id, populate_existing=True)
    if again and row.attempts < MOST_ATTEMPTS:
        return
    session.execute(
        update(RewriteRow).where(RewriteRow.id == rewrite.rewrite_id).values(state="FAILED", reason=reason)
    )
    session.execute(
        update(DeliveryRow)
        .where(
            DeliveryRow.job_id == rewrite.job_id, DeliveryRow.destination == rewrite.destination,
            DeliveryRow.state == "REPLACED",
        )
        .values(state="DEAD", reason=f"refused, and could not be written in another form: {reason}")
    )
    _event(session, rewrite.job_id, "result not replaced", {"destination": rewrite.destination, "reason": reason}, now)


def _event(session: Session, job_id: int, kind: str, detail: dict[str, Any], now: datetime) -> None:
    job = session.get_one(JobRow, job_id)
    add_event(session, kind, detail=detail, now=now, study_id=job.study_id, series_id=job.series_id, job_id=job_id)
