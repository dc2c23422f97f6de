"""What happens now, as the tables say it: arrivals, the queue, what runs, what waits to be sent. Reads only.

Every question is answered by an index; nothing counts what has ended.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import case, func, select

from radnode.storage import priors
from radnode.storage.jobs import JobState
from radnode.storage.listing_tables import ListedStudyRow
from radnode.storage.outbox import DeliveryState
from radnode.storage.tables import DeliveryRow, JobRow, SeriesRow, StudyRoutingRow, StudyRow

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """Whom a study is of, and what it is called; for who may know. Empty texts: not known."""

    patient_id: str
    name: str
    accession_number: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyNow:
    """A study and what its series and jobs are at. images: as received until now. jobs: states without superseded ones.

    undecided: a pipeline that reads several series still waits for the study to be whole.
    """

    study_id: int
    patient: Patient
    conflict: bool
    undecided: bool
    modalities: tuple[str, ...]
    sources: tuple[str, ...]
    images: int
    last_received_at: datetime
    series: tuple[str, ...]
    jobs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Jobs of one priority (0 urgent, 10 routine, 20 low) that wait.

    late: their result was wanted by now. for_priors: of them those that wait for earlier studies, not for a worker.
    """

    priority: int
    number: int
    oldest: datetime
    late: int
    for_priors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningJob:
    """A job that a worker has. due_at: when its result is wanted, None: whenever."""

    job_id: int
    study_id: int
    pipeline: str
    priority: int
    started_at: datetime | None
    due_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """Results for one destination. oldest: since when the first of those waits. dead: given up, until somebody acts."""

    waiting: int = 0
    oldest: datetime | None = None
    dead: int = 0


def newest_studies(session: Session, limit: int) -> list[StudyNow]:
    """The studies of which an image came last, newest first."""
    studies = session.scalars(
        select(StudyRow).order_by(StudyRow.last_received_at.desc(), StudyRow.id.desc()).limit(limit)
    ).all()
    ids = [row.id for row in studies]
    series: dict[int, list[SeriesRow]] = defaultdict(list)
    for row in session.scalars(select(SeriesRow).where(SeriesRow.study_id.in_(ids)).order_by(SeriesRow.id)):
        series[row.study_id].append(row)
    jobs: dict[int, list[str]] = defaultdict(list)
    for study_id, state in session.execute(
        select(JobRow.study_id, JobRow.state).where(JobRow.study_id.in_(ids), JobRow.state != JobState.SUPERSEDED)
    ):
        jobs[study_id].append(state)
    undecided = set(session.scalars(
        select(StudyRoutingRow.study_id).where(StudyRoutingRow.study_id.in_(ids), StudyRoutingRow.pending.is_(True))
    ))
    listed: dict[int, dict[str, Any]] = dict(session.execute(
        select(ListedStudyRow.study_id, ListedStudyRow.attributes).where(ListedStudyRow.study_id.in_(ids))
    ).all())
    return [
        StudyNow(
            study_id=study.id, conflict=bool(study.conflict), undecided=study.id in undecided,
            patient=Patient(
                patient_id=study.patient_id, name=_name(listed.get(study.id)), description=study.description or "",
                accession_number=study.accession_number or "",
            ),
            modalities=tuple(sorted({each.modality for each in series[study.id] if each.modality})),
            sources=tuple(sorted({each.source for each in series[study.id]})),
            images=sum(each.received for each in series[study.id]), last_received_at=study.last_received_at,
            series=tuple(each.state for each in series[study.id]), jobs=tuple(jobs[study.id]),
        )
        for study in studies
    ]


def waiting_jobs(session: Session, now: datetime) -> list[Waiting]:
    """The queue, the most urgent priority first."""
    rows = session.execute(
        select(
            JobRow.priority, func.count(), func.min(JobRow.created_at),
            func.sum(case((JobRow.due_at < now, 1), else_=0)), func.sum(case((priors.waited_for(now), 1), else_=0)),
        )
        .where(JobRow.state == JobState.WAITING).group_by(JobRow.priority).order_by(JobRow.priority)
    )
    return [
        Waiting(priority=priority, number=number, oldest=oldest, late=int(late or 0), for_priors=int(for_priors or 0))
        for priority, number, oldest, late, for_priors in rows
    ]


def running_jobs(session: Session) -> list[RunningJob]:
    """What workers have, the oldest first."""
    rows = session.scalars(select(JobRow).where(JobRow.state == JobState.RUNNING).order_by(JobRow.id))
    return [
        RunningJob(job_id=row.id, study_id=row.study_id, pipeline=row.pipeline, priority=row.priority,
                   started_at=row.started_at, due_at=row.due_at)
        for row in rows
    ]


def outgoing(session: Session) -> Mapping[str, Outgoing]:
    """Destination -> what waits for it and what was given up; who has neither is absent."""
    waits = DeliveryRow.state.in_((DeliveryState.WAITING, DeliveryState.SENDING))
    rows = session.execute(
        select(
            DeliveryRow.destination, func.sum(case((waits, 1), else_=0)),
            func.min(case((waits, DeliveryRow.created_at))),
            func.sum(case((DeliveryRow.state == DeliveryState.DEAD, 1), else_=0)),
        )
        .where(DeliveryRow.state.in_((DeliveryState.WAITING, DeliveryState.SENDING, DeliveryState.DEAD)))
        .group_by(DeliveryRow.destination)
    )
    return {
        destination: Outgoing(waiting=int(waiting), oldest=oldest, dead=int(dead))
        for destination, waiting, oldest, dead in rows
    }


def _name(attributes: Mapping[str, Any] | None) -> str:
    """The first component group of Patient's Name (PS3.5 6.2.1), family name first."""
    name = str((attributes or {}).get("PatientName") or "").partition("=")[0]
    return ", ".join(part for part in (each.strip() for each in name.split("^")[:2]) if part)
