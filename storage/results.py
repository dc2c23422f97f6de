"""Result objects recorded with their deliveries, and the forms that destinations do not take.

A form refused by its SOP class is remembered as long as the peer is configured as it was: later jobs are written for it
rightly at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import and_, delete, exists, false, func, insert, or_, select
from sqlalchemy.orm import aliased

from radnode.storage.catalog import affected
from radnode.storage.dialects import insert_for
from radnode.storage.tables import DeliveryRow, JobRow, RefusedFormRow, ResultObjectRow, StudyRow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session


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
class SentObject:
    """A result object that a destination has accepted."""

    name: str
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A form that a destination does not take, and since when."""

    destination: str
    form: str
    reason: str
    refused_at: datetime


def record(
    session: Session,
    job_id: int,
    objects: Iterable[NewResultObject],
    destinations: Mapping[str, Collection[str]],
    now: datetime,
) -> None:
    """Insert what is new, and queue each object for the destinations that get it and have no delivery of it yet.

    destinations: name -> names of the objects it gets. An object that is recorded keeps its bytes. Of a job in shadow
    nothing is queued, whoever asks: here is the only door to the outbox.
    """
    if session.scalar(select(JobRow.shadow).where(JobRow.id == job_id)):
        destinations = {}
    made = {(each.sop_instance_uid, each.name): each for each in objects}
    ids = _insert_missing(session, job_id, made)
    wanted = [
        {"result_object_id": ids[key], "job_id": job_id, "send_order": each.order, "destination": destination,
         "state": "WAITING", "reason": "", "token": 0, "attempts": 0, "due_at": now, "created_at": now}
        for key, each in made.items()
        for destination, names in destinations.items() if each.name in names
    ]
    if wanted:
        session.execute(
            insert_for(session, DeliveryRow).on_conflict_do_nothing(index_elements=["result_object_id", "destination"]),
            wanted,
        )


def _insert_missing(
    session: Session, job_id: int, objects: Mapping[tuple[str, str], NewResultObject]
) -> dict[tuple[str, str], int]:
    """The id of each object, known before or not; by SOP Instance UID and name, as they come."""
    if not objects:
        return {}
    known = {
        (row.sop_instance_uid, row.name): row.id
        for row in session.execute(
            select(ResultObjectRow.id, ResultObjectRow.sop_instance_uid, ResultObjectRow.name)
            .where(ResultObjectRow.job_id == job_id)
        )
    }
    missing = {key: each for key, each in objects.items() if key not in known}
    if missing:
        known |= zip(missing, session.scalars(
            insert(ResultObjectRow).returning(ResultObjectRow.id, sort_by_parameter_order=True),
            [
                {"job_id": job_id, "name": each.name, "form": each.form, "send_order": each.order,
                 "sop_class_uid": each.sop_class_uid, "sop_instance_uid": each.sop_instance_uid,
                 "series_instance_uid": each.series_instance_uid, "transfer_syntax_uid": each.transfer_syntax_uid,
                 "digest": each.digest, "size_bytes": each.size_bytes, "references": list(each.references)}
                for each in missing.values()
            ],
        ), strict=True)
    return known


def sent_before(session: Session, job_id: int) -> list[SentObject]:
    """Of every object, as it is called within a job, the last that an earlier revision sent, by number.

    Earlier: the same series of the same study, read by the same pipeline. What no destination accepted is not meant:
    nobody could find it.
    """
    job = session.get_one(JobRow, job_id)
    earlier = aliased(JobRow)
    sent = exists().where(
        DeliveryRow.result_object_id == ResultObjectRow.id, DeliveryRow.state.in_(("SENT", "CONFIRMED"))
    )
    asked = (
        earlier.series_id == job.series_id, earlier.study_id == job.study_id, earlier.pipeline == job.pipeline,
        earlier.revision < job.revision, sent,
    )
    last = (
        select(ResultObjectRow.name, func.max(earlier.revision).label("revision"))
        .join(earlier, earlier.id == ResultObjectRow.job_id).where(*asked).group_by(ResultObjectRow.name).subquery()
    )
    rows = session.execute(
        select(ResultObjectRow, StudyRow.study_instance_uid)
        .join(earlier, earlier.id == ResultObjectRow.job_id)
        .join(StudyRow, StudyRow.id == earlier.study_id)
        .join(last, and_(last.c.name == ResultObjectRow.name, last.c.revision == earlier.revision))
        .where(*asked)
        .order_by(ResultObjectRow.send_order, ResultObjectRow.id)
    )
    return [
        SentObject(
            name=row.name, sop_class_uid=row.sop_class_uid, sop_instance_uid=row.sop_instance_uid,
            series_instance_uid=row.series_instance_uid, study_instance_uid=study_instance_uid,
        )
        for row, study_instance_uid in rows
    ]


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


def forget_outdated_refusals(session: Session, peer_digests: Mapping[str, str]) -> int:
    """Forget what destinations refused that are configured otherwise now, or not at all; returns how many forms."""
    outdated = [
        RefusedFormRow.destination == destination
        for destination in session.scalars(select(RefusedFormRow.destination).distinct())
        if destination not in peer_digests
    ]
    outdated += [
        and_(RefusedFormRow.destination == destination, RefusedFormRow.peer_digest != digest)
        for destination, digest in peer_digests.items()
    ]
    return affected(session, delete(RefusedFormRow).where(or_(false(), *outdated)))


def forget_refusals(session: Session, destination: str) -> int:
    """Offer everything again; returns how many forms were remembered."""
    return affected(session, delete(RefusedFormRow).where(RefusedFormRow.destination == destination))
