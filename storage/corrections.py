"""Objects by others about what our jobs read, until each was compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select, update

from radnode.storage.dialects import insert_for
from radnode.storage.monitoring_tables import CorrectionRow
from radnode.storage.tables import InstanceRow, JobInputRow, JobRow, ResultObjectRow, SeriesRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

MOST_ATTEMPTS = 3
_MOST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What is to be compared. digest: of the received object. attempts: this one counted."""

    correction_id: int
    job_id: int
    source: str
    digest: str
    attempts: int


def jobs_about(session: Session, study_id: int, *, series: Sequence[str], results: Sequence[str]) -> list[int]:
    """Jobs of a study that gave these results, or else the last of each pipeline that read one of these series."""
    answered = (JobRow.study_id == study_id, JobRow.state.in_(("PRODUCED", "SUPERSEDED")),
                JobRow.findings_digest.is_not(None))
    named = list(session.scalars(
        select(ResultObjectRow.job_id).join(JobRow, JobRow.id == ResultObjectRow.job_id)
        .where(ResultObjectRow.sop_instance_uid.in_(results[:_MOST]), *answered).distinct()))
    if named or not series:
        return named
    read = (
        select(JobInputRow.job_id).join(InstanceRow, InstanceRow.id == JobInputRow.instance_id)
        .join(SeriesRow, SeriesRow.id == InstanceRow.series_id)
        .where(JobInputRow.job_id == JobRow.id, SeriesRow.series_instance_uid.in_(series[:_MOST])).exists()
    )
    return list(session.scalars(select(func.max(JobRow.id)).where(*answered, read).group_by(JobRow.pipeline)))


def note(session: Session, instance_id: int, job_id: int, source: str, now: datetime) -> None:
    """Have an object compared with the findings of a job, once."""
    session.execute(insert_for(session, CorrectionRow).values(
        instance_id=instance_id, job_id=job_id, source=source, state="WAITING", reason="", attempts=0, created_at=now,
    ).on_conflict_do_nothing())


def next_waiting(session: Session) -> Correction | None:
    """The oldest that is to be compared, counted as tried."""
    found = session.execute(
        select(CorrectionRow, InstanceRow.digest).join(InstanceRow, InstanceRow.id == CorrectionRow.instance_id)
        .where(CorrectionRow.state == "WAITING").order_by(CorrectionRow.id).limit(1)).first()
    if found is None:
        return None
    row, digest = found
    row.attempts += 1
    return Correction(correction_id=row.id, job_id=row.job_id, source=row.source, digest=digest,
                      attempts=row.attempts)


def ended(session: Session, correction_id: int, state: str, reason: str = "") -> bool:
    """What came of it; False if that was known before."""
    changed = session.scalar(
        update(CorrectionRow).where(CorrectionRow.id == correction_id, CorrectionRow.state == "WAITING")
        .values(state=state, reason=reason).returning(CorrectionRow.id))
    return changed is not None
