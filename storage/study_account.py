"""What belongs to a study beside its series and jobs: results, orders to perform it, what others say, its priors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from radnode.storage.fetch_tables import JobPriorRow, PriorSearchRow
from radnode.storage.study_tables import AsItIsRow, JobRemarkRow
from radnode.storage.tables import InstanceRow, JobRow, ResultObjectRow, SeriesRow, StudyRow
from radnode.storage.transfer_tables import TransferRow
from radnode.storage.workitem_tables import PerformedRow, WorkItemRow

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A result object and where its bytes lie. sop_class_uid: empty for a message."""

    result_object_id: int
    job_id: int
    pipeline: str
    name: str
    form: str
    sop_class_uid: str
    sop_instance_uid: str
    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AsItIs:
    """A series that somebody ordered to be closed as it is."""

    series_id: int
    revision: int
    by: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """See above. series: UID -> row id. associations: which brought images, when, from whom, how many.

    remarks: job id -> what its result says of the input. priors: what jobs were compared with.
    """

    series: dict[str, int]
    associations: tuple[dict[str, Any], ...]
    results: tuple[Result, ...]
    work_items: tuple[dict[str, Any], ...]
    performed: tuple[dict[str, Any], ...]
    priors: tuple[dict[str, Any], ...]
    transfers: tuple[dict[str, Any], ...]
    as_it_is: tuple[AsItIs, ...]
    remarks: dict[int, tuple[str, ...]]


MOST_ASSOCIATIONS = 50


def account(session: Session, study_id: int, study_instance_uid: str) -> Account:
    """Everything of one study."""
    remarks: dict[int, tuple[str, ...]] = {}
    for row in session.execute(
        select(JobRemarkRow.job_id, JobRemarkRow.text).join(JobRow, JobRow.id == JobRemarkRow.job_id)
        .where(JobRow.study_id == study_id).order_by(JobRemarkRow.id)
    ):
        remarks[row.job_id] = (*remarks.get(row.job_id, ()), row.text)
    return Account(
        series=dict(session.execute(
            select(SeriesRow.series_instance_uid, SeriesRow.id).where(SeriesRow.study_id == study_id)).all()),
        associations=_associations(session, study_id),
        results=tuple(map(_result, session.execute(_results().where(JobRow.study_id == study_id)))),
        work_items=tuple(
            {"uid": row.uid, "state": row.state, "route": row.route, "progress": row.progress, "at": row.changed_at}
            for row in session.scalars(select(WorkItemRow).where(WorkItemRow.study_instance_uid == study_instance_uid))
        ),
        performed=tuple(
            {"kind": row.kind, "source": row.source, "state": row.state, "reason": row.reason, "at": row.changed_at}
            for row in session.scalars(
                select(PerformedRow).where(PerformedRow.study_instance_uid == study_instance_uid)
                .order_by(PerformedRow.id))
        ),
        priors=_priors(session, study_id),
        transfers=tuple(
            {"destination": row.destination, "state": row.state, "number": row.number}
            for row in session.execute(
                select(TransferRow.destination, TransferRow.state, func.count().label("number"))
                .join(InstanceRow, InstanceRow.id == TransferRow.instance_id)
                .join(SeriesRow, SeriesRow.id == InstanceRow.series_id).where(SeriesRow.study_id == study_id)
                .group_by(TransferRow.destination, TransferRow.state))
        ),
        as_it_is=tuple(
            AsItIs(series_id=row.series_id, revision=row.revision, by=row.by, reason=row.reason, at=row.at)
            for row in session.scalars(
                select(AsItIsRow).join(SeriesRow, SeriesRow.id == AsItIsRow.series_id)
                .where(SeriesRow.study_id == study_id))
        ),
        remarks=remarks,
    )


def result_of(session: Session, study_id: int, result_object_id: int) -> Result | None:
    """A result object of this study, None where it has no such."""
    row = session.execute(
        _results().where(JobRow.study_id == study_id, ResultObjectRow.id == result_object_id)
    ).one_or_none()
    return None if row is None else _result(row)


def _results() -> Any:
    return (
        select(ResultObjectRow, JobRow.pipeline).join(JobRow, JobRow.id == ResultObjectRow.job_id)
        .order_by(ResultObjectRow.job_id, ResultObjectRow.send_order, ResultObjectRow.id)
    )


def _result(row: Any) -> Result:
    found, pipeline = row
    return Result(
        result_object_id=found.id, job_id=found.job_id, pipeline=pipeline, name=found.name, form=found.form,
        sop_class_uid=found.sop_class_uid, sop_instance_uid=found.sop_instance_uid, digest=found.digest,
        size_bytes=found.size_bytes,
    )


def _associations(session: Session, study_id: int) -> tuple[dict[str, Any], ...]:
    rows = session.execute(
        select(InstanceRow.association, InstanceRow.source, func.min(InstanceRow.received_at).label("since"),
               func.max(InstanceRow.received_at).label("until"), func.count().label("number"))
        .join(SeriesRow, SeriesRow.id == InstanceRow.series_id)
        .where(SeriesRow.study_id == study_id).group_by(InstanceRow.association, InstanceRow.source)
        .order_by(func.min(InstanceRow.received_at)).limit(MOST_ASSOCIATIONS)
    )
    return tuple(dict(row._mapping) for row in rows)


def _priors(session: Session, study_id: int) -> tuple[dict[str, Any], ...]:
    found = []
    for row in session.scalars(
        select(PriorSearchRow).join(JobRow, JobRow.id == PriorSearchRow.job_id).where(JobRow.study_id == study_id)
    ):
        studies = session.execute(
            select(StudyRow.id, StudyRow.study_date).distinct()
            .join(SeriesRow, SeriesRow.study_id == StudyRow.id)
            .join(InstanceRow, InstanceRow.series_id == SeriesRow.id)
            .join(JobPriorRow, JobPriorRow.instance_id == InstanceRow.id).where(JobPriorRow.job_id == row.job_id)
        ).all()
        found.append({"job": row.job_id, "archive": row.archive, "state": row.state, "reason": row.reason,
                      "remarks": list(row.remarks), "studies": [(number, day) for number, day in studies]})
    return tuple(found)
