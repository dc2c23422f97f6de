"""What happens now, as the tables say it: the queue, what runs, what waits to be sent. Reads only.

Every question is answered by an index; nothing counts what has ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import case, func, select

from radnode.storage import priors
from radnode.storage.jobs import JobState
from radnode.storage.outbox import DeliveryState
from radnode.storage.tables import DeliveryRow, JobRow

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy.orm import Session


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
