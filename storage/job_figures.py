"""How jobs of each pipeline ended, and what they said of their time and memory: for the page of pipelines. Reads only.

A row of a job holds its whole report, so both questions are about the newest jobs, found by their numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from radnode.storage.tables import JobRow, ResultObjectRow

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy.orm import Session

MOST_REPORTS = 600
MOST_COUNTED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A job that ended. report: seconds of its parts, memory, as its worker said."""

    pipeline: str
    version: str
    state: str
    report: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Jobs by state. since: from when on they are counted; by: pipeline -> state -> jobs."""

    since: datetime
    by: Mapping[str, Mapping[str, int]]


def newest_ended(session: Session) -> list[Ended]:
    """The newest jobs of all pipelines that ran, the newest first."""
    newest = session.scalar(select(func.max(JobRow.id))) or 0
    rows = session.execute(
        select(JobRow.pipeline, JobRow.pipeline_version, JobRow.state, JobRow.report)
        .where(JobRow.id > newest - MOST_REPORTS, JobRow.ended_at.is_not(None))
        .order_by(JobRow.id.desc())
    )
    return [Ended(pipeline=pipeline, version=version, state=state, report=report)
            for pipeline, version, state, report in rows]


def by_state(session: Session, since: datetime) -> Counted:
    """Since then, or of the newest MOST_COUNTED jobs where there were more; the answer says since when."""
    newest = session.scalar(select(func.max(JobRow.id))) or 0
    oldest = newest - MOST_COUNTED
    first = session.scalar(select(JobRow.created_at).where(JobRow.id > oldest).order_by(JobRow.id).limit(1))
    rows = session.execute(
        select(JobRow.pipeline, JobRow.state, func.count())
        .where(JobRow.id > oldest, JobRow.created_at >= since)
        .group_by(JobRow.pipeline, JobRow.state)
    )
    found: dict[str, dict[str, int]] = {}
    for pipeline, state, number in rows:
        found.setdefault(pipeline, {})[state] = number
    return Counted(since=since if oldest <= 0 or first is None else max(since, first), by=found)


def forms(session: Session) -> dict[str, dict[str, int]]:
    """Pipeline -> result form -> objects, of the newest jobs."""
    newest = session.scalar(select(func.max(JobRow.id))) or 0
    rows = session.execute(
        select(JobRow.pipeline, ResultObjectRow.form, func.count())
        .join(ResultObjectRow, ResultObjectRow.job_id == JobRow.id)
        .where(JobRow.id > newest - MOST_REPORTS)
        .group_by(JobRow.pipeline, ResultObjectRow.form)
    )
    found: dict[str, dict[str, int]] = {}
    for pipeline, form, number in rows:
        found.setdefault(pipeline, {})[form] = number
    return found
