"""Work items: entered once, changed on the version that was read, looked for by who performs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select, update

from radnode.storage import subscriptions
from radnode.storage.catalog import affected
from radnode.storage.dialects import insert_for
from radnode.storage.outbox import DeliveryState
from radnode.storage.tables import IS_OBJECT, DeliveryRow, InstanceRow, JobRow, ResultObjectRow, SeriesRow, StudyRow
from radnode.storage.workitem_tables import PerformedRow, WorkItemRow

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

MOST_SHOWN = 1000


class Changed(Exception):
    """Somebody else changed the item since it was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkItem:
    """A work item as it is now; see :class:`~radnode.storage.workitem_tables.WorkItemRow`."""

    uid: str
    state: str
    version: int
    content: dict[str, Any]
    transaction_uid: str | None
    own: bool
    route: str
    study_instance_uid: str
    jobs: tuple[int, ...]
    begun: tuple[int, ...]
    cancel_asked: bool
    cancel_reason: str
    progress: str
    manager: str
    told: int
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldSeries:
    """A series of a study that is here, with the SOP Instance UIDs of what can be read of it."""

    series_id: int
    study_id: int
    series_instance_uid: str
    source: str
    state: str
    revision: int
    reason: str
    sop_instance_uids: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOutcome:
    """A job, its result objects and how their deliveries stand: (destination, state) for each."""

    job_id: int
    key: str
    pipeline: str
    pipeline_version: str
    state: str
    reason: str
    study_instance_uid: str
    started_at: datetime | None
    ended_at: datetime | None
    created_at: datetime
    objects: tuple[tuple[str, str, str], ...]
    """(Series Instance UID, SOP Class UID, SOP Instance UID)."""
    deliveries: tuple[tuple[str, str], ...]


def enter(
    session: Session, uid: str, content: Mapping[str, Any], *, route: str, study_instance_uid: str, now: datetime,
    manager: str = "", transaction_uid: str | None = None,
) -> bool:
    """A new item, SCHEDULED; False when the UID is taken. manager: whose it is; transaction_uid: to claim it with."""
    entered = session.scalar(
        insert_for(session, WorkItemRow)
        .values(
            uid=uid, state="SCHEDULED", version=1, content=dict(content), own=False, route=route,
            transaction_uid=transaction_uid, manager=manager, told=0,
            study_instance_uid=study_instance_uid, jobs=[], cancel_asked=False, progress="", created_at=now,
            changed_at=now,
        )
        .on_conflict_do_nothing(index_elements=["uid"])
        .returning(WorkItemRow.uid)
    )
    if entered is not None:
        subscriptions.note_change(session, uid, {}, content, now)
    return entered is not None


def find(session: Session, uid: str) -> WorkItem | None:
    """The item under this UID."""
    row = session.get(WorkItemRow, uid)
    return None if row is None else _item(row)


def newest(session: Session, *, states: Collection[str] = (), limit: int = MOST_SHOWN) -> list[WorkItem]:
    """The items that changed last, newest first."""
    query = select(WorkItemRow).order_by(WorkItemRow.changed_at.desc(), WorkItemRow.uid).limit(limit)
    return [_item(row) for row in session.scalars(query.where(WorkItemRow.state.in_(states)) if states else query)]


def of_manager(session: Session, manager: str) -> list[WorkItem]:
    """What is to be claimed at a manager, and what he was not told of yet; the oldest first."""
    rows = session.scalars(
        select(WorkItemRow)
        .where(WorkItemRow.manager == manager,
               (WorkItemRow.state == "SCHEDULED") | (WorkItemRow.version != WorkItemRow.told))
        .order_by(WorkItemRow.created_at, WorkItemRow.uid)
    )
    return [_item(row) for row in rows]


def told(session: Session, uid: str, version: int) -> None:
    """The manager knows this version."""
    session.execute(update(WorkItemRow).where(WorkItemRow.uid == uid).values(told=version))


def to_perform(session: Session) -> list[WorkItem]:
    """What nobody has claimed on our own worklist, and what this node has in hands; the oldest first."""
    rows = session.scalars(
        select(WorkItemRow)
        .where(((WorkItemRow.state == "SCHEDULED") & (WorkItemRow.manager == ""))
               | ((WorkItemRow.state == "IN PROGRESS") & WorkItemRow.own))
        .order_by(WorkItemRow.created_at, WorkItemRow.uid)
    )
    return [_item(row) for row in rows]


def change(session: Session, item: WorkItem, now: datetime, **values: Any) -> None:
    """Who listens is told of it. Raises :class:`Changed`."""
    changed = affected(
        session,
        update(WorkItemRow)
        .where(WorkItemRow.uid == item.uid, WorkItemRow.version == item.version)
        .values(version=item.version + 1, changed_at=now, **values),
    )
    if not changed:
        raise Changed(item.uid)
    subscriptions.note_change(session, item.uid, item.content, values.get("content", item.content), now)


def stoppable(session: Session, item: WorkItem) -> list[int]:
    """Jobs that nobody but this item wants any more: inserted for orders, and of no other that is under way."""
    others = session.scalars(select(WorkItemRow).where(
        WorkItemRow.study_instance_uid == item.study_instance_uid, WorkItemRow.uid != item.uid
    )).all()
    ordered = {*item.begun, *(job_id for other in others for job_id in other.begun)}
    wanted = {job_id for other in others if other.state == "IN PROGRESS" for job_id in other.jobs}
    return [job_id for job_id in item.jobs if job_id in ordered - wanted]


def forget_ended(session: Session, older_than: datetime, limit: int) -> int:
    """Forget items that ended before, and what peers said was performed before; how many, at most `limit` in all.

    What a manager was not told of yet is forgotten, too: by then nobody waits for it. The audit trail stays.
    """
    uids = session.scalars(
        select(WorkItemRow.uid)
        .where(WorkItemRow.state.in_(("COMPLETED", "CANCELED")), WorkItemRow.changed_at < older_than)
        .order_by(WorkItemRow.changed_at).limit(limit)
    ).all()
    session.execute(delete(WorkItemRow).where(WorkItemRow.uid.in_(uids)))
    subscriptions.forget_items(session, uids)
    performed = session.scalars(
        select(PerformedRow.id).where(PerformedRow.changed_at < older_than)
        .order_by(PerformedRow.id).limit(limit - len(uids))
    ).all()
    session.execute(delete(PerformedRow).where(PerformedRow.id.in_(performed)))
    return len(uids) + len(performed)


def held(session: Session, study_instance_uid: str) -> list[HeldSeries]:
    """The series of a study that are here."""
    rows = session.execute(
        select(SeriesRow, StudyRow.id)
        .join(StudyRow, StudyRow.id == SeriesRow.study_id)
        .where(StudyRow.study_instance_uid == study_instance_uid)
        .order_by(SeriesRow.id)
    ).all()
    return [
        HeldSeries(
            series_id=row.id, study_id=study_id, series_instance_uid=row.series_instance_uid, source=row.source,
            state=row.state, revision=row.revision, reason=row.reason, sop_instance_uids=frozenset(session.scalars(
                select(InstanceRow.sop_instance_uid)
                .where(InstanceRow.series_id == row.id, InstanceRow.state.not_in(("QUARANTINED", "EXPIRED")))
            )),
        )
        for row, study_id in rows
    ]


def job_of_key(session: Session, key: str) -> JobOutcome:
    """The job under a key that is taken."""
    return _outcomes(session, session.scalars(select(JobRow).where(JobRow.key == key)).all())[0]


def outcomes(session: Session, job_ids: Sequence[int]) -> list[JobOutcome]:
    """These jobs."""
    return _outcomes(session, session.scalars(select(JobRow).where(JobRow.id.in_(job_ids)).order_by(JobRow.id)).all())


def newest_jobs(session: Session, limit: int = MOST_SHOWN) -> list[JobOutcome]:
    """The newest jobs, newest first; none that runs in shadow, of which nobody is told."""
    newest = select(JobRow).where(~JobRow.shadow).order_by(JobRow.id.desc()).limit(limit)
    return _outcomes(session, session.scalars(newest).all())


def _outcomes(session: Session, rows: Sequence[JobRow]) -> list[JobOutcome]:
    ids = [row.id for row in rows]
    objects: dict[int, list[tuple[str, str, str]]] = {}
    for each in session.scalars(
        select(ResultObjectRow).where(ResultObjectRow.job_id.in_(ids), IS_OBJECT).order_by(ResultObjectRow.send_order)
    ):
        named = (each.series_instance_uid, each.sop_class_uid, each.sop_instance_uid)
        objects.setdefault(each.job_id, []).append(named)
    deliveries: dict[int, list[tuple[str, str]]] = {}
    for delivery in session.scalars(select(DeliveryRow).where(DeliveryRow.job_id.in_(ids)).order_by(DeliveryRow.id)):
        deliveries.setdefault(delivery.job_id, []).append((delivery.destination, delivery.state))
    ids_of_studies = {row.study_id for row in rows}
    found = session.execute(select(StudyRow.id, StudyRow.study_instance_uid).where(StudyRow.id.in_(ids_of_studies)))
    studies = {row[0]: row[1] for row in found}
    return [
        JobOutcome(
            job_id=row.id, key=row.key, pipeline=row.pipeline, pipeline_version=row.pipeline_version, state=row.state,
            reason=row.reason, study_instance_uid=studies[row.study_id], started_at=row.started_at,
            ended_at=row.ended_at, created_at=row.created_at, objects=tuple(objects.get(row.id, ())),
            deliveries=tuple(deliveries.get(row.id, ())),
        )
        for row in rows
    ]


UNDER_WAY = frozenset({DeliveryState.WAITING, DeliveryState.SENDING})


def _item(row: WorkItemRow) -> WorkItem:
    return WorkItem(
        uid=row.uid, state=row.state, version=row.version, content=row.content, transaction_uid=row.transaction_uid,
        own=row.own, route=row.route, study_instance_uid=row.study_instance_uid, jobs=tuple(row.jobs),
        begun=tuple(row.begun), cancel_asked=row.cancel_asked, cancel_reason=row.cancel_reason, progress=row.progress,
        manager=row.manager, told=row.told, created_at=row.created_at, changed_at=row.changed_at,
    )
