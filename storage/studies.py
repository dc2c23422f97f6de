"""Questions about whole studies: pipelines that read several series wait until all of them are decided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, update

from radnode.storage import ledger
from radnode.storage.catalog import SeriesState, affected
from radnode.storage.dialects import insert_for
from radnode.storage.ledger import InstanceState
from radnode.storage.tables import InstanceRow, JobRow, SeriesRow, StudyRoutingRow, StudyRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySeries:
    """A series of a study as it is now. reason: why it was held or contradicts itself."""

    series_id: int
    series_instance_uid: str
    source: str
    state: SeriesState
    revision: int
    received: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedStudy:
    """A study with an open question. asked: rises with every series that closes."""

    study_id: int
    study_instance_uid: str
    asked: int
    series: tuple[StudySeries, ...]


def ask(session: Session, study_id: int, *, first: bool) -> None:
    """A series of the study has closed: judge the study again. first: also a study that nothing was asked of yet."""
    if first:
        session.execute(
            insert_for(session, StudyRoutingRow)
            .values(study_id=study_id, pending=True, asked=0, explanations=[], configuration_digest="")
            .on_conflict_do_nothing(index_elements=["study_id"])
        )
    session.execute(
        update(StudyRoutingRow)
        .where(StudyRoutingRow.study_id == study_id)
        .values(pending=True, asked=StudyRoutingRow.asked + 1)
    )


def asked(session: Session) -> list[AskedStudy]:
    """Every study with an open question."""
    rows = session.execute(
        select(StudyRoutingRow.study_id, StudyRoutingRow.asked, StudyRow.study_instance_uid)
        .join(StudyRow, StudyRow.id == StudyRoutingRow.study_id)
        .where(StudyRoutingRow.pending.is_(True))
        .order_by(StudyRoutingRow.study_id)
    ).all()
    return [
        AskedStudy(study_id=study_id, study_instance_uid=uid, asked=number, series=tuple(_series(session, study_id)))
        for study_id, number, uid in rows
    ]


def answer(
    session: Session, study: AskedStudy, *, explanations: Sequence[Any], configuration_digest: str, now: datetime
) -> bool:
    """Keep why each pipeline did or did not run; False when another series has closed since, then nothing is."""
    return affected(
        session,
        update(StudyRoutingRow)
        .where(StudyRoutingRow.study_id == study.study_id, StudyRoutingRow.asked == study.asked,
               StudyRoutingRow.pending.is_(True))
        .values(pending=False, explanations=list(explanations), configuration_digest=configuration_digest, at=now),
    ) == 1


def last_job(session: Session, study_id: int, pipeline: str) -> tuple[int, int] | None:
    """The series that jobs of this pipeline over the study are kept under, and their latest revision.

    It is that of the first job and stays so: later revisions may read other series and still supersede it.
    """
    found = session.execute(
        select(JobRow.series_id).where(JobRow.study_id == study_id, JobRow.pipeline == pipeline)
        .order_by(JobRow.id).limit(1)
    ).first()
    if found is None:
        return None
    latest = session.scalar(
        select(func.max(JobRow.revision)).where(JobRow.series_id == found.series_id, JobRow.pipeline == pipeline)
    )
    return found.series_id, latest or 0


def leave(session: Session, study_id: int, *, reason: str, now: datetime) -> None:
    """What no job has taken of the closed series of a study is not routed."""
    left = session.scalars(
        select(InstanceRow.id)
        .join(SeriesRow, SeriesRow.id == InstanceRow.series_id)
        .where(SeriesRow.study_id == study_id, SeriesRow.state == SeriesState.CLOSED,
               InstanceRow.state == InstanceState.RECEIVED, InstanceRow.indexed.is_(True))
    ).all()
    ledger.move(session, left, InstanceState.NOT_ROUTED, reason=reason, now=now)


def _series(session: Session, study_id: int) -> list[StudySeries]:
    rows = session.scalars(select(SeriesRow).where(SeriesRow.study_id == study_id).order_by(SeriesRow.id))
    return [
        StudySeries(
            series_id=row.id, series_instance_uid=row.series_instance_uid, source=row.source,
            state=SeriesState(row.state), revision=row.revision, received=row.received, reason=row.reason,
        )
        for row in rows
    ]
