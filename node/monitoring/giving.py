"""The results of a study as somebody judges them, and what they say of one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from radnode.node.monitoring.figures import scanner_of
from radnode.storage import feedback
from radnode.storage.figures import ended_job, scanner_id
from radnode.storage.tables import JobRow, StudyRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from radnode.storage.monitoring_tables import FeedbackRow

LARGEST = 2**31 - 1
"""Of a row's number on either database."""
JUDGED = ("PRODUCED", "NOT_PROCESSED", "FAILED", "SUPERSEDED")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """An ended job of a study and all that was said of it, the newest first."""

    job_id: int
    pipeline: str
    version: str
    revision: int
    outcome: str
    superseded: bool
    ended_at: datetime | None
    measurements: Sequence[Mapping[str, Any]]
    said: Sequence[FeedbackRow]


def results_of(session: Session, study_id: int) -> list[Result] | None:
    """The ended jobs of a study, the newest first; None if there is no such study."""
    if study_id > LARGEST or session.get(StudyRow, study_id) is None:
        return None
    said = feedback.of_study(session, study_id)
    jobs = session.scalars(select(JobRow).where(JobRow.study_id == study_id, JobRow.state.in_(JUDGED))
                           .order_by(JobRow.id.desc()).limit(50))
    return [
        Result(
            job_id=job.id, pipeline=job.pipeline, version=job.pipeline_version, revision=job.revision,
            outcome=str((job.report or {}).get("state") or job.state.lower().replace("_", " ")),
            superseded=job.state == "SUPERSEDED", ended_at=job.ended_at,
            measurements=(job.report or {}).get("measurements", [])[:12], said=said.get(job.id, []),
        )
        for job in jobs
    ]


def give(
    session: Session, study_id: int, job_id: int, *, who: str, verdict: str, comment: str, now: datetime
) -> None:
    """Write down what a person says of a result of a study. Raises LookupError, ValueError."""
    if verdict not in feedback.VERDICTS:
        raise ValueError("choose what is to be said of the result")
    job = session.get(JobRow, job_id) if job_id <= LARGEST else None
    if job is None or job.study_id != study_id or job.state not in JUDGED:
        raise LookupError("there is no such result")
    feedback.give(session, job_id, how="page", who=who, verdict=verdict, comment=comment, now=now,
                  scanner_id=scanner_of_job(session, job_id, now))


def scanner_of_job(session: Session, job_id: int, now: datetime) -> int | None:
    """The scanner of the images of a job; None where they are gone."""
    job = ended_job(session, job_id)
    return None if job is None or job.attributes is None else scanner_id(session, scanner_of(job), now)


def as_header(value: Mapping[str, str]) -> str:
    """A JSON object for an HTTP header: ASCII alone."""
    return json.dumps(value, ensure_ascii=True)
