"""What the tables say about faults, as numbers and times: the facts of alarms. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from radnode.storage.jobs import JobState
from radnode.storage.ledger import InstanceState
from radnode.storage.outbox import OTHER_PATIENT, DeliveryState
from radnode.storage.tables import DeliveryRow, InstanceRow, JobRow, SeriesRow, StudyRow

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy.orm import Session

    from radnode.storage.catalog import SeriesState


@dataclass(frozen=True, slots=True, kw_only=True)
class Some:
    """number of things, since when, and of one of them: its study and why."""

    number: int
    since: datetime
    study_instance_uid: str = ""
    reason: str = ""


def undecided_series(session: Session, state: SeriesState, decided_since: datetime) -> dict[str, Some]:
    """Source -> its series that were held, or found to contradict themselves, since then; the newest is named."""
    rows = session.execute(
        select(SeriesRow.source, SeriesRow.closed_at, SeriesRow.reason, StudyRow.study_instance_uid)
        .join(StudyRow, StudyRow.id == SeriesRow.study_id)
        .where(SeriesRow.state == state, SeriesRow.closed_at >= decided_since)
        .order_by(SeriesRow.closed_at)
    )
    found: dict[str, Some] = {}
    for source, at, reason, study_instance_uid in rows:
        if at is None:
            continue
        before = found.get(source)
        found[source] = Some(
            number=before.number + 1 if before else 1, since=before.since if before else at,
            study_instance_uid=study_instance_uid, reason=reason,
        )
    return found


def failed_jobs(session: Session, ended_since: datetime) -> dict[str, Some]:
    """Pipeline -> its jobs that failed for good since then."""
    rows = session.execute(
        select(JobRow.pipeline, func.count(), func.min(JobRow.ended_at))
        .where(JobRow.state == JobState.FAILED, JobRow.ended_at >= ended_since)
        .group_by(JobRow.pipeline)
    )
    return {pipeline: Some(number=number, since=since) for pipeline, number, since in rows if since}


def oldest_job(session: Session) -> datetime | None:
    """Since when the oldest job waits for a worker."""
    return session.scalar(select(func.min(JobRow.created_at)).where(JobRow.state == JobState.WAITING))


def late_jobs(session: Session, now: datetime) -> dict[str, Some]:
    """Pipeline -> its jobs without a result although it was wanted by now."""
    rows = session.execute(
        select(JobRow.pipeline, func.count(), func.min(JobRow.due_at))
        .where(JobRow.due_at < now, JobRow.state.in_((JobState.WAITING, JobState.RUNNING)))
        .group_by(JobRow.pipeline)
    )
    return {pipeline: Some(number=number, since=since) for pipeline, number, since in rows if since}


def waiting_deliveries(session: Session) -> dict[str, Some]:
    """Destination -> the results that wait for it."""
    rows = session.execute(
        select(DeliveryRow.destination, func.count(), func.min(DeliveryRow.created_at))
        .where(DeliveryRow.state.in_((DeliveryState.WAITING, DeliveryState.SENDING)))
        .group_by(DeliveryRow.destination)
    )
    return {destination: Some(number=number, since=since) for destination, number, since in rows}


def held_back(session: Session) -> dict[str, Some]:
    """Destination -> the results that were held back because it has their study under another patient (I5)."""
    rows = session.execute(
        select(DeliveryRow.destination, func.count(), func.min(DeliveryRow.created_at), func.min(DeliveryRow.reason))
        .where(DeliveryRow.state == DeliveryState.DEAD, DeliveryRow.reason.startswith(OTHER_PATIENT))
        .group_by(DeliveryRow.destination)
    )
    return {name: Some(number=number, since=since, reason=reason) for name, number, since, reason in rows}


def unreadable_instances(session: Session, received_since: datetime) -> dict[str, Some]:
    """Source -> its instances whose header cannot be read."""
    rows = session.execute(
        select(InstanceRow.source, func.count(), func.min(InstanceRow.received_at))
        .where(InstanceRow.state == InstanceState.QUARANTINED, InstanceRow.received_at >= received_since)
        .group_by(InstanceRow.source)
    )
    return {source: Some(number=number, since=since) for source, number, since in rows}


def oldest_unread_header(session: Session) -> datetime | None:
    """Since when the oldest instance waits to be read."""
    return session.scalar(
        select(InstanceRow.received_at).where(InstanceRow.indexed.is_(False)).order_by(InstanceRow.id).limit(1)
    )


def heard(session: Session, sources: Iterable[str]) -> dict[str, datetime]:
    """Source -> when an image came from it last; what never sent any is absent."""
    last = {
        source: session.scalar(
            select(SeriesRow.last_received_at)
            .where(SeriesRow.source == source)
            .order_by(SeriesRow.last_received_at.desc())
            .limit(1)
        )
        for source in sources
    }
    return {source: at for source, at in last.items() if at is not None}
