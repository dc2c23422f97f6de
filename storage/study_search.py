"""Searching studies as an administrator does: whatever became of them, newest first, paged by key.

What is asked narrows by an index; what a study's state is, is said of the facts (:mod:`radnode.storage.study_facts`)
by the node. A state narrows here to what may be in it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Text, and_, cast, exists, or_, select, union
from sqlalchemy.orm import aliased

from radnode.storage import merges
from radnode.storage.listing import name_key
from radnode.storage.listing_tables import ListedSeriesRow, ListedStudyRow
from radnode.storage.study_tables import StudyHoldRow
from radnode.storage.tables import (
    DeliveryRow,
    InstanceRow,
    JobRow,
    ResultObjectRow,
    SeriesRow,
    StudyRoutingRow,
    StudyRow,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.orm import InstrumentedAttribute, Session

LONGEST = 256
"""Characters of what is searched for."""
_BETWEEN_NAMES = re.compile(r"[\s,^=*]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is searched for; empty is everything. Texts may have `*` and `?`; of a name any part will do. former_ids:
    Patient IDs that were merged into `patient_id` (:func:`with_former_ids`), and are searched for as well.

    uid: of a study, a series or an instance, received or made here. since, until: when its last image came. route: that
    ordered a job of it. state: a key of :data:`STATES`, or empty.
    """

    accession_number: str = ""
    patient_id: str = ""
    patient_name: str = ""
    uid: str = ""
    since: datetime | None = None
    until: datetime | None = None
    modality: str = ""
    source: str = ""
    route: str = ""
    state: str = ""
    former_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Key:
    """Where a page ends: the next begins with what is older."""

    at: datetime
    study_id: int


def _jobs(*states: str) -> Select[int]:
    return select(JobRow.study_id).where(JobRow.state.in_(states))


def _deliveries(*states: str) -> Select[int]:
    return select(JobRow.study_id).join(DeliveryRow, DeliveryRow.job_id == JobRow.id).where(
        DeliveryRow.state.in_(states)
    )


def _series(*states: str) -> Select[int]:
    return select(SeriesRow.study_id).where(SeriesRow.state.in_(states))


def _of_study(*states: str) -> ColumnElement[bool]:
    return exists().where(JobRow.study_id == StudyRow.id, JobRow.state.in_(states))


def _has_no_job() -> ColumnElement[bool]:
    return ~exists().where(JobRow.study_id == StudyRow.id)


_SELDOM: Mapping[str, Select[int]] = {
    "failed": _jobs("FAILED"), "undelivered": _deliveries("DEAD"), "incomplete": _series("HELD"),
    "conflict": _series("CONFLICT"), "on hold": select(StudyHoldRow.study_id),
    "running": _jobs("RUNNING"), "waiting": _jobs("WAITING"), "sending": _deliveries("WAITING", "SENDING"),
    "arriving": union(_series("OPEN"),  # type: ignore[dict-item]
                      select(StudyRoutingRow.study_id).where(StudyRoutingRow.pending.is_(True))),
    "not processed": _jobs("NOT_PROCESSED"),
}
"""State -> the studies that may be in it: few, found by an index."""
_OFTEN: Mapping[str, ColumnElement[bool]] = {
    "discarded": or_(_of_study("DISCARDED"),
                     exists().where(SeriesRow.study_id == StudyRow.id, SeriesRow.state == "DISCARDED")),
    "nothing found": _of_study("PRODUCED"), "delivered": _of_study("PRODUCED"), "produced": ~exists().where(
        JobRow.study_id == StudyRow.id, JobRow.state == "PRODUCED", DeliveryRow.job_id == JobRow.id,
        DeliveryRow.state.in_(("SENT", "CONFIRMED")),
    ) & exists().where(JobRow.study_id == StudyRow.id),
    "no route": _has_no_job(), "sent on": _has_no_job(), "prior": _has_no_job(), "own": _has_no_job(),
}
"""State -> what is asked of one study after the other, newest first."""
STATES = frozenset(_SELDOM) | frozenset(_OFTEN)


def newest(session: Session, wanted: Wanted, *, after: Key | None, limit: int) -> list[Key]:
    """The studies that may be meant, newest first, from behind `after` on."""
    conditions = _conditions(session, wanted)
    if after is not None:
        conditions.append(and_(
            StudyRow.last_received_at <= after.at,
            or_(StudyRow.last_received_at < after.at, StudyRow.id < after.study_id),
        ))
    rows = session.execute(
        select(StudyRow.last_received_at, StudyRow.id).where(*conditions)
        .order_by(StudyRow.last_received_at.desc(), StudyRow.id.desc()).limit(limit)
    )
    return [Key(at, study_id) for at, study_id in rows]


def with_former_ids(session: Session, wanted: Wanted) -> Wanted:
    """The same with what was merged into its Patient ID; a pattern stands for no one patient."""
    asked = wanted.patient_id
    if not asked or _is_pattern(asked):
        return wanted
    return replace(wanted, former_ids=tuple(merges.merged_into(session, asked)))


def row_of(session: Session, study_instance_uid: str) -> int | None:
    """The id of a study."""
    return session.scalar(select(StudyRow.id).where(StudyRow.study_instance_uid == study_instance_uid))


def uid_of(session: Session, study_id: int) -> str | None:
    """The UID of a study."""
    return session.scalar(select(StudyRow.study_instance_uid).where(StudyRow.id == study_id))


def known(session: Session) -> dict[str, list[str]]:
    """What there is to choose from: modalities and sources of all series. Each value is one step in an index."""
    return {"modality": _distinct(session, SeriesRow.modality), "source": _distinct(session, SeriesRow.source)}


def _distinct(session: Session, column: InstrumentedAttribute[Any]) -> list[str]:
    """By leaps: a table of a million series has a handful of them."""
    found: list[str] = []
    last = ""
    while len(found) < LONGEST:
        following = session.scalar(select(column).where(column > last).order_by(column).limit(1))
        if following is None:
            break
        found.append(following)
        last = following
    return found


def _conditions(session: Session, wanted: Wanted) -> list[ColumnElement[bool]]:
    """What of it is asked, as conditions on a study."""
    asked: tuple[tuple[object, Callable[[], ColumnElement[bool]]], ...] = (
        (wanted.accession_number, lambda: _text(StudyRow.accession_number, wanted.accession_number)),
        (wanted.patient_id, lambda: _of_patient(wanted)),
        (wanted.patient_name, lambda: StudyRow.id.in_(select(ListedStudyRow.study_id).where(
            _named(ListedStudyRow.patient_name, wanted.patient_name)))),
        (wanted.uid, lambda: StudyRow.id.in_(_with_uid(session, wanted.uid))),
        (wanted.since, lambda: StudyRow.last_received_at >= wanted.since),
        (wanted.until, lambda: StudyRow.last_received_at < wanted.until),
        (wanted.modality, lambda: _has_series(SeriesRow.modality == wanted.modality)),
        (wanted.source, lambda: _has_series(SeriesRow.source == wanted.source)),
        (wanted.route, lambda: exists().where(
            JobRow.study_id == StudyRow.id,
            cast(JobRow.route_names, Text).contains(json.dumps(wanted.route), autoescape=True))),
        (wanted.state in _SELDOM, lambda: StudyRow.id.in_(_SELDOM[wanted.state])),
        (wanted.state in _OFTEN, lambda: _OFTEN[wanted.state]),
    )
    return [condition() for value, condition in asked if value]


def _has_series(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(SeriesRow.study_id == StudyRow.id, condition)


def _of_patient(wanted: Wanted) -> ColumnElement[bool]:
    if wanted.former_ids:
        return StudyRow.patient_id.in_((wanted.patient_id, *wanted.former_ids))
    return _text(StudyRow.patient_id, wanted.patient_id)


def _text(column: InstrumentedAttribute[Any], value: str) -> ColumnElement[bool]:
    if not _is_pattern(value):
        return column == value
    narrow = aliased(StudyRow)  # read from the index alone, not from whole rows
    return StudyRow.id.in_(
        select(narrow.id).where(getattr(narrow, column.key).like(_like(value), escape="\\"))
    )


def _is_pattern(value: str) -> bool:
    return not {"*", "?"}.isdisjoint(value)


def _named(column: InstrumentedAttribute[Any], value: str) -> ColumnElement[bool]:
    """Its parts in this order, wherever in the name: `Meier, Anna` as well as `meier^an`."""
    parts = [part for part in _BETWEEN_NAMES.split(name_key(value)) if part]
    return column.like(f"%{'%'.join(_like(part) for part in parts)}%", escape="\\")


def _like(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%").replace("?", "_")


def _with_uid(session: Session, uid: str) -> set[int]:
    """The studies in which something has this UID."""
    questions: tuple[Select[int], ...] = (
        select(StudyRow.id).where(StudyRow.study_instance_uid == uid),
        select(SeriesRow.study_id).where(SeriesRow.series_instance_uid == uid),
        select(ListedSeriesRow.study_id).where(ListedSeriesRow.series_instance_uid == uid),
        select(SeriesRow.study_id).join(InstanceRow, InstanceRow.series_id == SeriesRow.id)
        .where(InstanceRow.sop_instance_uid == uid),
        select(JobRow.study_id).join(ResultObjectRow, ResultObjectRow.job_id == JobRow.id)
        .where(ResultObjectRow.sop_instance_uid == uid),
    )
    return {found for question in questions for found in session.scalars(question)}
