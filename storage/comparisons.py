"""Jobs over the same input, in pairs, and what came of comparing them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import aliased

from radnode.storage.catalog import affected
from radnode.storage.dialects import insert_for
from radnode.storage.monitoring_tables import ComparisonRow
from radnode.storage.tables import JobRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

ENDED = ("PRODUCED", "NOT_PROCESSED", "FAILED", "SUPERSEDED")
MOST_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two ended jobs over the same bytes. comparison: the row of their overlap, None if none was asked for."""

    job_id: int
    other_job_id: int
    study_id: int
    state: str
    other_state: str
    report: Mapping[str, Any]
    other_report: Mapping[str, Any]
    ended_at: datetime
    comparison: ComparisonRow | None = None


def pairs_of(session: Session, job_ids: Sequence[int]) -> list[Pair]:
    """Each of these with every other job over the same input by another pipeline or version, the older job first."""
    one, other = aliased(JobRow), aliased(JobRow)
    rows = session.execute(
        select(one, other)
        .join(other, (other.series_id == one.series_id) & (other.input_digest == one.input_digest))
        .where(one.id.in_(job_ids), other.id != one.id, other.state.in_(ENDED), one.findings_digest.is_not(None),
               other.findings_digest.is_not(None),
               or_(one.pipeline != other.pipeline, one.pipeline_version != other.pipeline_version))
    ).all()
    return [_pair(first, second, None) if first.id < second.id else _pair(second, first, None)
            for first, second in rows]


def want(session: Session, job_id: int, other_job_id: int, now: datetime) -> int:
    """Have two jobs compared; 1, or 0 if that was asked before."""
    return affected(session, insert_for(session, ComparisonRow).values(
        job_id=job_id, other_job_id=other_job_id, state="WAITING", reason="", attempts=0, structures=[], created_at=now,
    ).on_conflict_do_nothing())


def next_waiting(session: Session) -> ComparisonRow | None:
    """The oldest that is to be computed, counted as tried."""
    row = session.scalar(select(ComparisonRow).where(ComparisonRow.state == "WAITING").order_by(ComparisonRow.id)
                         .limit(1))
    if row is not None:
        row.attempts += 1
    return row


def ended(
    session: Session, comparison_id: int, state: str, *, reason: str = "", structures: Sequence[Any] = ()
) -> None:
    """What came of it."""
    session.execute(update(ComparisonRow).where(ComparisonRow.id == comparison_id)
                    .values(state=state, reason=reason, structures=list(structures)))


def between(
    session: Session, one: tuple[str, str], other: tuple[str, str], since: datetime, limit: int
) -> list[Pair]:
    """Jobs of two (pipeline, version) over the same input, the newest first; an empty version is any."""
    first, second = aliased(JobRow), aliased(JobRow)
    query = (
        select(first, second, ComparisonRow)
        .join(second, (second.series_id == first.series_id) & (second.input_digest == first.input_digest))
        .outerjoin(ComparisonRow, or_(
            (ComparisonRow.job_id == first.id) & (ComparisonRow.other_job_id == second.id),
            (ComparisonRow.job_id == second.id) & (ComparisonRow.other_job_id == first.id)))
        .where(first.pipeline == one[0], second.pipeline == other[0], first.id != second.id,
               first.state.in_(ENDED), second.state.in_(ENDED), first.ended_at >= since)
    )
    if one[1]:
        query = query.where(first.pipeline_version == one[1])
    if other[1]:
        query = query.where(second.pipeline_version == other[1])
    return [_pair(*row) for row in session.execute(query.order_by(first.id.desc()).limit(limit)).all()]


def counted(session: Session, limit: int = 20) -> list[tuple[str, str, int]]:
    """(pipeline, other pipeline, pairs) of what was compared, most first."""
    first, second = aliased(JobRow), aliased(JobRow)
    rows = session.execute(
        select(first.pipeline, second.pipeline, func.count())
        .select_from(ComparisonRow)
        .join(first, first.id == ComparisonRow.job_id).join(second, second.id == ComparisonRow.other_job_id)
        .group_by(first.pipeline, second.pipeline).order_by(func.count().desc()).limit(limit)
    ).all()
    return [(one, other, number) for one, other, number in rows]


def _pair(one: JobRow, other: JobRow, comparison: ComparisonRow | None) -> Pair:
    return Pair(
        job_id=one.id, other_job_id=other.id, study_id=one.study_id, state=one.state, other_state=other.state,
        report=one.report or {}, other_report=other.report or {}, ended_at=one.ended_at or one.created_at,
        comparison=comparison,
    )
