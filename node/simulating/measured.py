"""How long jobs took on a node, from its database."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from sqlalchemy import select

from radnode.node.simulating.load import JobTime
from radnode.storage.jobs import JobState
from radnode.storage.tables import JobRow

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

MOST = 10_000
_ENDED = (JobState.PRODUCED, JobState.NOT_PROCESSED, JobState.FAILED)


def job_times(session: Session) -> dict[str, JobTime]:
    """Pipeline -> seconds from lease to record, of the newest jobs that ran once and ended."""
    found: dict[str, list[float]] = defaultdict(list)
    rows = session.execute(
        select(JobRow.pipeline, JobRow.started_at, JobRow.ended_at)
        .where(JobRow.state.in_(_ENDED), JobRow.attempts == 1)
        .order_by(JobRow.id.desc())
        .limit(MOST)
    )
    for pipeline, started_at, ended_at in rows:
        if started_at is not None and ended_at is not None and ended_at > started_at:
            found[pipeline].append((ended_at - started_at).total_seconds())
    return {pipeline: JobTime(samples=tuple(seconds)) for pipeline, seconds in found.items()}
