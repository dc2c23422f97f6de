"""Questions of DICOMweb to the list: matching and paging are the database's. Reads only.

Matching is that of PS3.4 C.2.2.2: of a UID one of several, of text single value or wild card, of names the same
whatever the case, of dates and times a range, of numbers the value.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Text, and_, cast, exists, func, or_, select, text
from sqlalchemy.orm import aliased

from radnode.storage.ledger import InstanceState, portions
from radnode.storage.listing import name_key, visible, visible_result
from radnode.storage.listing_tables import ListedInstanceRow, ListedSeriesRow, ListedStudyRow
from radnode.storage.tables import WITHHELD, InstanceRow, SeriesRow, StudyRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import InstrumentedAttribute, Session

MANY = 2000
"""Series or instances with a value from which on it is cheaper to walk through the studies by date."""
_LAST = "\U0010ffff"
_OF_CONTENT = frozenset({"ModalitiesInStudy", "SOPClassesInStudy"})
_Narrow = aliased(ListedStudyRow)


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
    given = {each.keyword for each in criteria}
    rare = {each.keyword for each in criteria if _is_rare(session, each, given, glob)}
    statement = _RETRIEVABLE[level].where(*(_condition(each, glob, rare) for each in criteria))
    rows = session.execute(statement.order_by(*_sorting(level, given)).limit(limit).offset(offset)).all()
    return _counted(session, _found(rows, level), level)


def withheld(session: Session, study_instance_uid: str) -> int:
    """How many images of a study the node holds and does not serve: unreadable ones, and ones in conflict."""
    return session.scalar(
        select(func.count(InstanceRow.id)).select_from(StudyRow)
        .join(SeriesRow, SeriesRow.study_id == StudyRow.id)
        .outerjoin(InstanceRow, _of_series_and_withheld(InstanceRow.state != InstanceState.EXPIRED))
        .where(StudyRow.study_instance_uid == study_instance_uid)
    ) or 0


def _of_series_and_withheld(*more: ColumnElement[bool]) -> ColumnElement[bool]:
    """What an outer join of images to series is on; of an inner one SQLite would begin with all images of a state."""
    return and_(InstanceRow.series_id == SeriesRow.id, text(WITHHELD), *more)


def _counts() -> tuple[Any, Any]:
    """Of a series what is listed of it, and what of that is withheld.

    Nearly everything that is listed is served. So what is listed is counted in an index that has all that it takes, and
    what is not served is looked for in an index that has nothing else: no row of an image is read.
    """
    of_series = select(func.count()).where(ListedInstanceRow.series_id == ListedSeriesRow.id).correlate(ListedSeriesRow)
    listed = select(
        ListedSeriesRow.study_id, ListedSeriesRow.id, ListedSeriesRow.modality,
        of_series.where(ListedInstanceRow.instance_id.is_not(None)).scalar_subquery(),
        of_series.where(ListedInstanceRow.instance_id.is_(None), visible_result()).scalar_subquery(),
    )
    not_served = (
        select(ListedInstanceRow.series_id, func.count(ListedInstanceRow.id)).select_from(SeriesRow)
        .outerjoin(InstanceRow, _of_series_and_withheld())
        .outerjoin(ListedInstanceRow, ListedInstanceRow.instance_id == InstanceRow.id)
        .group_by(ListedInstanceRow.series_id)
    )
    return listed, not_served


_LISTED_OF_SERIES, _WITHHELD_OF_SERIES = _counts()


def _statements() -> dict[Level, Any]:
    of_series = exists().where(ListedInstanceRow.series_id == ListedSeriesRow.id, visible())
    of_study = exists().where(
        ListedSeriesRow.study_id == ListedStudyRow.study_id, ListedInstanceRow.series_id == ListedSeriesRow.id,
        visible(),
    ).correlate(ListedStudyRow)
    study = (ListedStudyRow.study_id, ListedStudyRow.study_instance_uid,
             cast(ListedStudyRow.attributes, Text).label("of_study"))
    one = (ListedSeriesRow.id.label("series_id"), ListedSeriesRow.series_instance_uid,
           cast(ListedSeriesRow.attributes, Text).label("of_series"))
    each = ListedInstanceRow
    studies = select(*study)
    series = select(*study, *one).join(ListedSeriesRow, ListedSeriesRow.study_id == ListedStudyRow.study_id)
    instances = (
        select(*study, *one, each.id, each.sop_instance_uid, each.sop_class_uid, each.transfer_syntax_uid, each.digest,
               each.size_bytes, each.result_object_id, each.attributes.label("of_instance"))
        .join(ListedSeriesRow, ListedSeriesRow.study_id == ListedStudyRow.study_id)
        .join(ListedInstanceRow, ListedInstanceRow.series_id == ListedSeriesRow.id)
    )
    return {
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


def _condition(criterion: Criterion, glob: str, rare: set[str]) -> ColumnElement[bool]:
    """rare: keywords that few studies match, so that it is cheaper to begin with what studies contain."""
    _, column, kind = MATCHED[criterion.keyword]
    test = _test(column, kind, criterion.values, glob)
    if _is_wild(kind, criterion.values[0]) and column.class_ is ListedStudyRow:
        # Else the database walks through the studies by date and reads the whole row of each.
        return ListedStudyRow.study_id.in_(select(_Narrow.study_id).where(
            _test(getattr(_Narrow, column.key), kind, criterion.values, glob)
        ))
    if criterion.keyword not in _OF_CONTENT:
        return test
    content = select(ListedSeriesRow.study_id).where(test)
    if criterion.keyword == "SOPClassesInStudy":
        content = content.join(ListedInstanceRow, ListedInstanceRow.series_id == ListedSeriesRow.id)
    if criterion.keyword in rare:
        return ListedStudyRow.study_id.in_(content.correlate(None))
    return content.where(ListedSeriesRow.study_id == ListedStudyRow.study_id).correlate(ListedStudyRow).exists()


def _is_rare(session: Session, criterion: Criterion, given: set[str], glob: str) -> bool:
    """Whether nothing else narrows the studies, and few contain this."""
    if criterion.keyword not in given & _OF_CONTENT or given - _OF_CONTENT:
        return False
    _, column, kind = MATCHED[criterion.keyword]
    some = select(column).where(_test(column, kind, criterion.values, glob)).limit(MANY).subquery()
    return (session.scalar(select(func.count()).select_from(some)) or 0) < MANY


def _is_wild(kind: Kind, value: str) -> bool:
    return kind == Kind.NAME or (kind == Kind.TEXT and bool(set("*?") & set(value)))


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


def _found(rows: Sequence[Any], level: Level) -> list[Found]:
    """Studies and series that come again are the same objects: a series of a thousand images has one."""
    studies: dict[int, StudyFound] = {}
    series: dict[int, SeriesFound] = {}
    found = []
    for row in rows:
        study = studies.get(row.study_id) or studies.setdefault(row.study_id, StudyFound(
            study_id=row.study_id, study_instance_uid=row.study_instance_uid, attributes=json.loads(row.of_study)
        ))
        of_series = None if level == Level.STUDIES else series.get(row.series_id) or series.setdefault(
            row.series_id, SeriesFound(series_id=row.series_id, series_instance_uid=row.series_instance_uid,
                                       attributes=json.loads(row.of_series)))
        instance = None if level != Level.INSTANCES else InstanceFound(
            id=row.id, sop_instance_uid=row.sop_instance_uid, sop_class_uid=row.sop_class_uid,
            transfer_syntax_uid=row.transfer_syntax_uid, digest=row.digest, size_bytes=row.size_bytes,
            is_result=row.result_object_id is not None, attributes=row.of_instance,
        )
        found.append(Found(study=study, series=of_series, instance=instance))
    return found


def _counted(session: Session, found: Sequence[Found], level: Level) -> list[Found]:
    """With how many instances each study, or series, has that can be retrieved."""
    if level == Level.INSTANCES:
        return list(found)
    by_study: dict[int, list[tuple[int, str, int]]] = defaultdict(list)
    for some in portions({each.study.study_id for each in found}):
        withheld_of = dict(session.execute(_WITHHELD_OF_SERIES.where(SeriesRow.study_id.in_(some))).all())
        for study_id, series_id, modality, received, results in session.execute(
            _LISTED_OF_SERIES.where(ListedSeriesRow.study_id.in_(some))
        ):
            if count := received + results - withheld_of.get(series_id, 0):
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
