"""Questions of DICOMweb to the list: matching and paging are the database's. Reads only.

Matching is that of PS3.4 C.2.2.2: of a UID one of several, of text single value or wild card, of names the same
whatever the case, of dates and times a range, of numbers the value.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, and_, exists, func, or_, select

from radnode.storage.ledger import InstanceState, portions
from radnode.storage.listing import name_key, visible
from radnode.storage.listing_tables import ListedInstanceRow, ListedSeriesRow, ListedStudyRow
from radnode.storage.tables import InstanceRow, SeriesRow, StudyRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import InstrumentedAttribute, Session

_LAST = "\U0010ffff"


class Level(StrEnum):
    """What is looked for."""

    STUDIES = "studies"
    SERIES = "series"
    INSTANCES = "instances"


class Kind(StrEnum):
    """How an attribute is matched."""

    UID = "uid"
    TEXT = "text"
    NAME = "name"
    DATE = "date"
    TIME = "time"
    NUMBER = "number"


MATCHED: Mapping[str, tuple[Level, InstrumentedAttribute[Any], Kind]] = {
    "StudyInstanceUID": (Level.STUDIES, ListedStudyRow.study_instance_uid, Kind.UID),
    "StudyDate": (Level.STUDIES, ListedStudyRow.study_date, Kind.DATE),
    "StudyTime": (Level.STUDIES, ListedStudyRow.study_time, Kind.TIME),
    "AccessionNumber": (Level.STUDIES, ListedStudyRow.accession_number, Kind.TEXT),
    "StudyID": (Level.STUDIES, ListedStudyRow.study_name, Kind.TEXT),
    "StudyDescription": (Level.STUDIES, ListedStudyRow.description, Kind.TEXT),
    "ReferringPhysicianName": (Level.STUDIES, ListedStudyRow.referring, Kind.NAME),
    "PatientName": (Level.STUDIES, ListedStudyRow.patient_name, Kind.NAME),
    "PatientID": (Level.STUDIES, ListedStudyRow.patient_id, Kind.TEXT),
    "PatientBirthDate": (Level.STUDIES, ListedStudyRow.patient_birth_date, Kind.DATE),
    "PatientSex": (Level.STUDIES, ListedStudyRow.patient_sex, Kind.TEXT),
    "ModalitiesInStudy": (Level.STUDIES, ListedSeriesRow.modality, Kind.TEXT),
    "SOPClassesInStudy": (Level.STUDIES, ListedInstanceRow.sop_class_uid, Kind.UID),
    "SeriesInstanceUID": (Level.SERIES, ListedSeriesRow.series_instance_uid, Kind.UID),
    "Modality": (Level.SERIES, ListedSeriesRow.modality, Kind.TEXT),
    "SeriesNumber": (Level.SERIES, ListedSeriesRow.number, Kind.NUMBER),
    "SeriesDescription": (Level.SERIES, ListedSeriesRow.description, Kind.TEXT),
    "BodyPartExamined": (Level.SERIES, ListedSeriesRow.body_part, Kind.TEXT),
    "PerformedProcedureStepStartDate": (Level.SERIES, ListedSeriesRow.performed_date, Kind.DATE),
    "PerformedProcedureStepStartTime": (Level.SERIES, ListedSeriesRow.performed_time, Kind.TIME),
    "SOPInstanceUID": (Level.INSTANCES, ListedInstanceRow.sop_instance_uid, Kind.UID),
    "SOPClassUID": (Level.INSTANCES, ListedInstanceRow.sop_class_uid, Kind.UID),
    "InstanceNumber": (Level.INSTANCES, ListedInstanceRow.number, Kind.NUMBER),
}
"""Keyword -> where it belongs, its column, how it is matched."""



@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """What an attribute must be. values: several only of UIDs; of a date or time its two ends, either may be empty."""

    keyword: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFound:
    """A study, and what can be retrieved of it. modalities, sop_classes: sorted."""

    study_id: int
    study_instance_uid: str
    attributes: dict[str, Any]
    series: int = 0
    instances: int = 0
    modalities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFound:
    """A series, and how many of its instances can be retrieved."""

    series_id: int
    series_instance_uid: str
    attributes: dict[str, Any]
    instances: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFound:
    """An instance. is_result: its bytes are those of a result object."""

    id: int
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    digest: str
    size_bytes: int
    is_result: bool
    attributes: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One match, with the levels above it."""

    study: StudyFound
    series: SeriesFound | None = None
    instance: InstanceFound | None = None


def find(session: Session, level: Level, criteria: Sequence[Criterion], *, limit: int, offset: int = 0) -> list[Found]:
    """The matches from `offset` on, newest studies first, in series by Instance Number."""
    glob = "GLOB" if session.get_bind().dialect.name == "sqlite" else "LIKE"
    statement = _RETRIEVABLE[level].where(*(_condition(each, glob) for each in criteria))
    given = {each.keyword for each in criteria}
    rows = session.execute(statement.order_by(*_sorting(level, given)).limit(limit).offset(offset)).all()
    found = [_found(level, row) for row in rows]
    return _counted(session, found, level)


def withheld(session: Session, study_instance_uid: str) -> int:
    """How many images of a study the node holds and does not serve: unreadable ones, and ones in conflict."""
    return session.scalar(
        select(func.count()).select_from(InstanceRow).join(SeriesRow, SeriesRow.id == InstanceRow.series_id)
        .join(StudyRow, StudyRow.id == SeriesRow.study_id)
        .where(StudyRow.study_instance_uid == study_instance_uid,
               InstanceRow.state.in_((InstanceState.QUARANTINED, InstanceState.CONFLICT)))
    ) or 0


def _statements() -> dict[Level, Any]:
    of_series = exists().where(ListedInstanceRow.series_id == ListedSeriesRow.id, visible())
    of_study = exists().where(
        ListedSeriesRow.study_id == ListedStudyRow.study_id, ListedInstanceRow.series_id == ListedSeriesRow.id,
        visible(),
    ).correlate(ListedStudyRow)
    studies = select(ListedStudyRow)
    series = select(ListedStudyRow, ListedSeriesRow).join(
        ListedSeriesRow, ListedSeriesRow.study_id == ListedStudyRow.study_id
    )
    instances = (
        select(ListedStudyRow, ListedSeriesRow, ListedInstanceRow)
        .join(ListedSeriesRow, ListedSeriesRow.study_id == ListedStudyRow.study_id)
        .join(ListedInstanceRow, ListedInstanceRow.series_id == ListedSeriesRow.id)
    )
    return {  # a Select of one, two, three rows
        Level.STUDIES: studies.where(of_study),
        Level.SERIES: series.where(of_series.correlate(ListedSeriesRow)),
        Level.INSTANCES: instances.where(visible()),
    }


_RETRIEVABLE = _statements()


def _sorting(level: Level, given: set[str]) -> tuple[Any, ...]:
    """Across studies by what an index has in order; within one as a reader would."""
    if level == Level.STUDIES:
        return (ListedStudyRow.study_date.desc(), ListedStudyRow.study_time.desc(), ListedStudyRow.study_id.desc())
    row = ListedSeriesRow if level == Level.SERIES else ListedInstanceRow
    if not given & {"StudyInstanceUID", "SeriesInstanceUID"}:
        return (row.id.desc(),)
    within = (row.number.is_(None), row.number, row.id)
    return within if level == Level.SERIES else (ListedInstanceRow.series_id, *within)


def _condition(criterion: Criterion, glob: str) -> ColumnElement[bool]:
    _, column, kind = MATCHED[criterion.keyword]
    test = _test(column, kind, criterion.values, glob)
    if criterion.keyword == "ModalitiesInStudy":
        return ListedStudyRow.study_id.in_(
            select(ListedSeriesRow.study_id).where(test).correlate(None)
        )
    if criterion.keyword == "SOPClassesInStudy":
        return ListedStudyRow.study_id.in_(
            select(ListedSeriesRow.study_id)
            .join(ListedInstanceRow, ListedInstanceRow.series_id == ListedSeriesRow.id).where(test).correlate(None)
        )
    return test


def _test(
    column: InstrumentedAttribute[Any], kind: Kind, values: tuple[str, ...], glob: str
) -> ColumnElement[bool]:
    if kind == Kind.UID:
        return column.in_(values)
    if kind == Kind.NUMBER:
        return column.in_([int(each) for each in values])
    if kind in (Kind.DATE, Kind.TIME):
        return _between(column, *values)
    if kind == Kind.NAME:
        return _name(column, values[0], glob)
    return _text(column, values[0], glob)


def _between(column: InstrumentedAttribute[Any], first: str, last: str) -> ColumnElement[bool]:
    """A time is what begins with it: 0930 means the whole minute."""
    ends = [column != ""]
    if first:
        ends.append(column >= first)
    if last:
        ends.append(column < last + _LAST)
    return and_(*ends)


def _text(column: InstrumentedAttribute[Any], pattern: str, glob: str) -> ColumnElement[bool]:
    if not set("*?") & set(pattern):
        return column == pattern
    start = pattern[:-1]
    if pattern.endswith("*") and not set("*?") & set(start):
        return and_(column >= start, column < start + _LAST)
    return column.op(glob)(_wild(pattern, glob))


def _name(column: InstrumentedAttribute[Any], pattern: str, glob: str) -> ColumnElement[bool]:
    """Against the component groups together where the pattern has several, else against any one (PS3.4 C.2.2.2.1)."""
    wanted = name_key(pattern)
    if "=" in wanted.strip("="):
        return column.op(glob)(_wild(f"{wanted}*", glob))
    first = _text(column, f"{wanted}*" if not set("*?") & set(wanted) else f"*{wanted}*", glob)
    if set("*?") & set(wanted):
        return first
    return or_(first, column.op(glob)(_wild(f"*{wanted}*", glob)))


def _wild(pattern: str, glob: str) -> str:
    """DICOM's `*` and `?` as the database writes them."""
    if glob == "GLOB":
        return pattern.replace("[", "[[]")
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%").replace("?", "_")


def _found(level: Level, row: Any) -> Found:
    study = row.ListedStudyRow
    found = Found(study=StudyFound(
        study_id=study.study_id, study_instance_uid=study.study_instance_uid, attributes=study.attributes
    ))
    if level != Level.STUDIES:
        series = row.ListedSeriesRow
        found = replace(found, series=SeriesFound(
            series_id=series.id, series_instance_uid=series.series_instance_uid, attributes=series.attributes
        ))
    if level == Level.INSTANCES:
        each = row.ListedInstanceRow
        found = replace(found, instance=InstanceFound(
            id=each.id, sop_instance_uid=each.sop_instance_uid, sop_class_uid=each.sop_class_uid,
            transfer_syntax_uid=each.transfer_syntax_uid, digest=each.digest, size_bytes=each.size_bytes,
            is_result=each.result_object_id is not None, attributes=each.attributes,
        ))
    return found


def _counted(session: Session, found: Sequence[Found], level: Level) -> list[Found]:
    """With how many instances each study, or series, has that can be retrieved."""
    if level == Level.INSTANCES:
        return list(found)
    by_study: dict[int, list[tuple[int, str, int]]] = defaultdict(list)
    for some in portions({each.study.study_id for each in found}):
        for study_id, series_id, modality, count in session.execute(
            select(ListedSeriesRow.study_id, ListedSeriesRow.id, ListedSeriesRow.modality, func.count())
            .join(ListedInstanceRow, ListedInstanceRow.series_id == ListedSeriesRow.id)
            .where(ListedSeriesRow.study_id.in_(some), visible())
            .group_by(ListedSeriesRow.study_id, ListedSeriesRow.id, ListedSeriesRow.modality)
        ):
            by_study[study_id].append((series_id, modality, count))
    return [_with_counts(each, by_study[each.study.study_id]) for each in found]


def _with_counts(found: Found, series: Sequence[tuple[int, str, int]]) -> Found:
    study = replace(
        found.study, series=len(series), instances=sum(count for _, _, count in series),
        modalities=tuple(sorted({modality for _, modality, _ in series if modality})),
    )
    if found.series is None:
        return replace(found, study=study)
    own = {number: count for number, _, count in series}
    return replace(
        found, study=study, series=replace(found.series, instances=own.get(found.series.series_id, 0))
    )
