"""What people said of results, and corrected objects that came back; nothing is changed once it is written."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from sqlalchemy import case, func, select

from radnode.storage.monitoring_tables import CorrectionRow, FeedbackRow
from radnode.storage.tables import JobRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

CORRECT, CORRECTED = "correct", "corrected"
VERDICTS = (CORRECT, "false mark", "missed finding", "wrong side", "unusable")
"""What a person may say of a result."""
LONGEST_COMMENT = 2000
MOST_DICE = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Of a version of a pipeline. judged: results of which a person said something last; accepted: that it is correct.

    mean_dice: over the structures of all corrected objects; compared: how many objects. None without one.
    """

    accepted: int
    judged: int
    mean_dice: float | None
    compared: int


def give(
    session: Session, job_id: int, *, how: str, who: str, verdict: str, comment: str, now: datetime,
    scanner_id: int | None = None, structures: Sequence[Any] = (), measurements: Sequence[Any] = (),
) -> int:
    """Write it down; returns its id. Raises LookupError for a job that is not there, ValueError for another verdict."""
    if verdict not in (*VERDICTS, CORRECTED):
        raise ValueError(f"{verdict} is no verdict")
    job = session.get(JobRow, job_id)
    if job is None:
        raise LookupError(f"there is no job {job_id}")
    row = FeedbackRow(
        job_id=job_id, study_id=job.study_id, pipeline=job.pipeline, version=job.pipeline_version,
        scanner_id=scanner_id, at=now, how=how, who=who, verdict=verdict, comment=comment[:LONGEST_COMMENT],
        structures=list(structures), measurements=list(measurements),
    )
    session.add(row)
    session.flush()
    return row.id


def listed(session: Session, *, pipeline: str = "", limit: int, offset: int = 0) -> list[FeedbackRow]:
    """The newest first."""
    query = select(FeedbackRow)
    if pipeline:
        query = query.where(FeedbackRow.pipeline == pipeline)
    return list(session.scalars(query.order_by(FeedbackRow.id.desc()).limit(limit).offset(offset)))


def of_study(session: Session, study_id: int) -> dict[int, list[FeedbackRow]]:
    """Job -> what was said of it, the newest first."""
    found: dict[int, list[FeedbackRow]] = {}
    for row in session.scalars(select(FeedbackRow).where(FeedbackRow.study_id == study_id)
                               .order_by(FeedbackRow.id.desc())):
        found.setdefault(row.job_id, []).append(row)
    return found


def tally(session: Session, pipeline: str, version: str, scanner_id: int | None = None) -> Tally:
    """Of each result the last word of a person counts."""
    wanted = [FeedbackRow.pipeline == pipeline, FeedbackRow.version == version]
    if scanner_id is not None:
        wanted.append(FeedbackRow.scanner_id == scanner_id)
    last = select(func.max(FeedbackRow.id)).where(*wanted, FeedbackRow.how == "page").group_by(FeedbackRow.job_id)
    judged, accepted = session.execute(
        select(func.count(), func.coalesce(func.sum(case((FeedbackRow.verdict == CORRECT, 1), else_=0)), 0))
        .where(FeedbackRow.id.in_(last))).one()
    corrected = session.scalars(select(FeedbackRow.structures).where(*wanted, FeedbackRow.how == "object")
                                .order_by(FeedbackRow.id.desc()).limit(MOST_DICE)).all()
    dice = [each["dice"] for structures in corrected for each in structures if each.get("dice") is not None]
    return Tally(accepted=int(accepted), judged=int(judged), mean_dice=fmean(dice) if dice else None,
                 compared=sum(bool(each) for each in corrected))


def versions(session: Session) -> list[tuple[str, str]]:
    """(pipeline, version) of which anything was said."""
    rows = session.execute(select(FeedbackRow.pipeline, FeedbackRow.version).distinct()
                           .order_by(FeedbackRow.pipeline, FeedbackRow.version)).all()
    return [(pipeline, version) for pipeline, version in rows]


def scanners_of(session: Session, pipeline: str, version: str) -> list[int]:
    """The scanners of whose results anything was said; empty where it is one alone."""
    found = session.scalars(select(FeedbackRow.scanner_id).where(
        FeedbackRow.pipeline == pipeline, FeedbackRow.version == version, FeedbackRow.scanner_id.is_not(None),
    ).distinct().order_by(FeedbackRow.scanner_id)).all()
    return [each for each in found if each is not None] if len(found) > 1 else []


def waiting(session: Session) -> int:
    """Corrected objects that were received and not compared yet."""
    return int(session.scalar(select(func.count()).select_from(CorrectionRow)
                              .where(CorrectionRow.state == "WAITING")) or 0)
