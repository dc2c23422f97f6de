"""What the pictures of a study are made from: its series, their instances with headers, what was found in them.

Reads only, and nothing but what may be served (:func:`radnode.storage.listing.visible`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, func, select
from sqlalchemy.orm import aliased

from radnode.storage.jobs import JobState
from radnode.storage.ledger import portions
from radnode.storage.listing import visible
from radnode.storage.listing_queries import InstanceFound
from radnode.storage.listing_tables import ListedInstanceRow, ListedSeriesRow, ListedStudyRow
from radnode.storage.tables import IS_OBJECT, HeaderRow, InstanceRow, JobRow, ResultObjectRow, SeriesRow

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy import Select
    from sqlalchemy.orm import Session

_ADDRESS = re.compile(r"(r?)([1-9]\d{0,17})")
_Job, _Result, _Instance = aliased(JobRow), aliased(ResultObjectRow), aliased(InstanceRow)
"""Beside those in :func:`visible`, which must not be taken for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownStudy:
    """A study. attributes: keyword -> value."""

    study_id: int
    study_instance_uid: str
    attributes: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSeries:
    """A series. address: its row id, or `r` and the id in the list of a series that was made here.

    sop_class_uid: of its instances, if they have several the first of these.
    """

    address: str
    listed_id: int
    series_instance_uid: str
    sop_class_uid: str
    instances: int
    is_result: bool
    attributes: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownObject:
    """An instance that says something of others, and who made it. pipeline: empty if it was received from `source`.

    shadow: nobody was sent it, and it is in no list: `instance.id` is the row of the result object.
    """

    instance: InstanceFound
    series: str
    form: str = ""
    pipeline: str = ""
    version: str = ""
    source: str = ""
    made_at: datetime | None = None
    shadow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownJob:
    """What became of the reading of a study by one pipeline. reason: why there is no result, empty where there is."""

    pipeline: str
    version: str
    state: JobState
    reason: str
    shadow: bool


def study(session: Session, study_id: int) -> ShownStudy | None:
    """By its row id; None where nothing of it can be shown."""
    row = session.get(ListedStudyRow, study_id)
    return None if row is None else ShownStudy(
        study_id=row.study_id, study_instance_uid=row.study_instance_uid, attributes=row.attributes
    )


def series(session: Session, study_id: int) -> list[ShownSeries]:
    """As a reader would have them: by number, what was made here at the end."""
    counted = (
        select(ListedInstanceRow.series_id, func.count().label("instances"),
               func.min(ListedInstanceRow.sop_class_uid).label("sop_class_uid"),
               func.count(ListedInstanceRow.result_object_id).label("results"))
        .join(ListedSeriesRow, ListedSeriesRow.id == ListedInstanceRow.series_id)
        .where(ListedSeriesRow.study_id == study_id, visible()).group_by(ListedInstanceRow.series_id).subquery()
    )
    rows = session.execute(
        select(ListedSeriesRow, SeriesRow.id, counted.c.instances, counted.c.sop_class_uid, counted.c.results)
        .join(counted, counted.c.series_id == ListedSeriesRow.id)
        .outerjoin(SeriesRow, and_(SeriesRow.study_id == ListedSeriesRow.study_id,
                                   SeriesRow.series_instance_uid == ListedSeriesRow.series_instance_uid))
        .order_by(counted.c.results > 0, ListedSeriesRow.number.is_(None), ListedSeriesRow.number, ListedSeriesRow.id)
    )
    return [
        ShownSeries(
            address=f"r{row.id}" if received is None else str(received), listed_id=row.id,
            series_instance_uid=row.series_instance_uid, sop_class_uid=sop_class_uid, instances=instances,
            is_result=results > 0, attributes=row.attributes,
        )
        for row, received, instances, sop_class_uid, results in rows
    ]


def listed_id(session: Session, study_id: int, address: str) -> int | None:
    """The series of this study that an address means."""
    if not (found := _ADDRESS.fullmatch(address)):
        return None
    asked = select(ListedSeriesRow.id).where(ListedSeriesRow.study_id == study_id)
    if found[1]:
        return session.scalar(asked.where(ListedSeriesRow.id == int(found[2])))
    return session.scalar(asked.join(
        SeriesRow, and_(SeriesRow.study_id == ListedSeriesRow.study_id,
                        SeriesRow.series_instance_uid == ListedSeriesRow.series_instance_uid)
    ).where(SeriesRow.id == int(found[2])))


def images(session: Session, listed_series_id: int) -> list[InstanceFound]:
    """The instances of a series by Instance Number, with all that is known of their headers."""
    rows = session.execute(
        select(ListedInstanceRow, HeaderRow.attributes)
        .outerjoin(HeaderRow, HeaderRow.instance_id == ListedInstanceRow.instance_id)
        .where(ListedInstanceRow.series_id == listed_series_id, visible())
        .order_by(ListedInstanceRow.number.is_(None), ListedInstanceRow.number, ListedInstanceRow.id)
    )
    return [_instance(row, attributes) for row, attributes in rows]


def image(session: Session, study_id: int, listed_instance_id: int) -> InstanceFound | None:
    """One of this study, with all that is known of its header."""
    row = session.execute(
        select(ListedInstanceRow, HeaderRow.attributes)
        .join(ListedSeriesRow, ListedSeriesRow.id == ListedInstanceRow.series_id)
        .outerjoin(HeaderRow, HeaderRow.instance_id == ListedInstanceRow.instance_id)
        .where(ListedInstanceRow.id == listed_instance_id, ListedSeriesRow.study_id == study_id, visible())
    ).one_or_none()
    return None if row is None else _instance(row[0], row[1])


def series_of(session: Session, study_id: int, sop_instance_uids: Collection[str]) -> dict[str, tuple[int, int]]:
    """SOP Instance UID -> (id in the list of its series, its own), of what this study has of these."""
    found: dict[str, tuple[int, int]] = {}
    for some in portions(sop_instance_uids):
        rows = session.execute(
            select(ListedInstanceRow.sop_instance_uid, ListedInstanceRow.series_id, ListedInstanceRow.id)
            .join(ListedSeriesRow, ListedSeriesRow.id == ListedInstanceRow.series_id)
            .where(ListedSeriesRow.study_id == study_id, ListedInstanceRow.sop_instance_uid.in_(some), visible())
        )
        found |= {uid: (series_id, number) for uid, series_id, number in rows}
    return found


def objects(session: Session, study_id: int, sop_classes: Collection[str], limit: int) -> list[ShownObject]:
    """Instances of these classes, newest first."""
    rows = session.execute(
        select(ListedInstanceRow, ListedSeriesRow.series_instance_uid, _Result.form, _Job.pipeline,
               _Job.pipeline_version, _Job.ended_at, _Instance.source, _Instance.received_at)
        .join(ListedSeriesRow, ListedSeriesRow.id == ListedInstanceRow.series_id)
        .outerjoin(_Result, _Result.id == ListedInstanceRow.result_object_id)
        .outerjoin(_Job, _Job.id == _Result.job_id)
        .outerjoin(_Instance, _Instance.id == ListedInstanceRow.instance_id)
        .where(ListedSeriesRow.study_id == study_id, ListedInstanceRow.sop_class_uid.in_(sop_classes), visible())
        .order_by(ListedInstanceRow.id.desc()).limit(limit)
    )
    return [
        ShownObject(
            instance=_instance(row, None), series=uid, form=form or "", pipeline=pipeline or "", version=version or "",
            source=source or "", made_at=ended_at or received_at,
        )
        for row, uid, form, pipeline, version, ended_at, source, received_at in rows
    ]


def in_shadow(session: Session, study_id: int, sop_classes: Collection[str], limit: int) -> list[ShownObject]:
    """What jobs in shadow made of these classes, by their last word, newest first."""
    rows = session.execute(
        _shadows(study_id).where(ResultObjectRow.sop_class_uid.in_(sop_classes))
        .order_by(ResultObjectRow.id.desc()).limit(limit)
    )
    return [_shadow(row, job) for row, job in rows]


def shadow(session: Session, study_id: int, result_object_id: int) -> ShownObject | None:
    """One of these."""
    row = session.execute(_shadows(study_id).where(ResultObjectRow.id == result_object_id)).one_or_none()
    return None if row is None else _shadow(row[0], row[1])


def _shadows(study_id: int) -> Select[ResultObjectRow, JobRow]:
    return select(ResultObjectRow, JobRow).join(JobRow, JobRow.id == ResultObjectRow.job_id).where(
        JobRow.study_id == study_id, JobRow.shadow, JobRow.state == JobState.PRODUCED, IS_OBJECT)


def _shadow(row: ResultObjectRow, job: JobRow) -> ShownObject:
    return ShownObject(
        instance=InstanceFound(
            id=row.id, sop_instance_uid=row.sop_instance_uid, sop_class_uid=row.sop_class_uid,
            transfer_syntax_uid=row.transfer_syntax_uid, digest=row.digest, size_bytes=row.size_bytes, is_result=True,
            attributes={},
        ),
        series=row.series_instance_uid, form=row.form, pipeline=job.pipeline, version=job.pipeline_version,
        made_at=job.ended_at, shadow=True,
    )


def jobs(session: Session, study_id: int) -> list[ShownJob]:
    """The last word of each pipeline on each series, or on the study; nothing of what a later revision supersedes."""
    rows = session.scalars(
        select(JobRow).where(JobRow.study_id == study_id, JobRow.state != JobState.SUPERSEDED).order_by(JobRow.id)
    )
    last = {(row.pipeline, row.series_id, row.shadow): row for row in rows}
    return [
        ShownJob(pipeline=row.pipeline, version=row.pipeline_version, state=JobState(row.state), reason=row.reason,
                 shadow=row.shadow)
        for row in last.values()
    ]


def _instance(row: ListedInstanceRow, header: dict[str, Any] | None) -> InstanceFound:
    return InstanceFound(
        id=row.id, sop_instance_uid=row.sop_instance_uid, sop_class_uid=row.sop_class_uid,
        transfer_syntax_uid=row.transfer_syntax_uid, digest=row.digest, size_bytes=row.size_bytes,
        is_result=row.result_object_id is not None, attributes=header if header is not None else row.attributes,
    )
