"""How long jobs took on a node, from its database."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import select

from radnode.node.simulating.coming_in import ComingIn
from radnode.node.simulating.load import JobTime
from radnode.storage.jobs import JobState
from radnode.storage.tables import JobRow, SeriesRow, StudyRow

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

MOST = 10_000
_ENDED = (JobState.PRODUCED, JobState.NOT_PROCESSED, JobState.FAILED)


_LONGEST = timedelta(minutes=1)
"""Of a series: one that was sent again a day later did not come in all the while."""


def job_times(session: Session, most: int = MOST) -> dict[str, JobTime]:
    """Pipeline -> seconds from lease to record, of the newest jobs that ran once and ended."""
    quiet: dict[str, list[float]] = defaultdict(list)
    receiving: dict[str, list[float]] = defaultdict(list)
    rows = session.execute(
        select(JobRow.pipeline, JobRow.started_at, JobRow.ended_at)
        .where(JobRow.state.in_(_ENDED), JobRow.attempts == 1)
        .order_by(JobRow.id.desc())
        .limit(most)
    )
    jobs = [(pipeline, began, ended) for pipeline, began, ended in rows if began and ended and ended > began]
    coming_in = _coming_in(session, min((began for _, began, _ in jobs), default=None))
    for pipeline, started_at, ended_at in jobs:
        found = receiving if coming_in.at(started_at.timestamp()) else quiet
        found[pipeline].append((ended_at - started_at).total_seconds())
    return {
        pipeline: JobTime(samples=tuple(quiet[pipeline]), samples_receiving=tuple(receiving[pipeline]))
        for pipeline in quiet.keys() | receiving.keys()
    }


def _coming_in(session: Session, since: datetime | None) -> ComingIn:
    if since is None:
        return ComingIn((), ())
    rows = session.execute(
        select(SeriesRow.first_received_at, SeriesRow.last_received_at)
        .join(StudyRow, StudyRow.id == SeriesRow.study_id)
        .where(StudyRow.last_received_at >= since - _LONGEST)
    )
    return ComingIn.of((max(first, last - _LONGEST).timestamp(), last.timestamp()) for first, last in rows)
