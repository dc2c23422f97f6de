"""What peers say was performed, kept from the first word to the last, and asked when a series is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from radnode.storage.catalog import add_event
from radnode.storage.dialects import insert_for
from radnode.storage.tables import InstanceRow, SeriesRow, StudyRow
from radnode.storage.workitem_tables import PerformedRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session

FINAL = ("COMPLETED", "DISCONTINUED")


class Ended(Exception):
    """The step has ended; nothing more is said of it (PS3.4 F.7.2.2.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What one peer says of a study. series: those it names, with their instances."""

    kind: str
    state: str
    reason: str
    series: Mapping[str, frozenset[str]]


def create(
    session: Session, source: str, kind: str, sop_instance_uid: str, studies: Sequence[str], *, state: str,
    references: Mapping[str, frozenset[str]] | None, now: datetime,
) -> bool:
    """A new step or notice; False when its UID is known from this peer."""
    known = select(PerformedRow.id).where(*_is(source, kind, sop_instance_uid))
    if session.scalar(known.limit(1)) is not None:
        return False
    for study in studies:
        entered = session.scalar(
            insert_for(session, PerformedRow)
            .values(source=source, kind=kind, sop_instance_uid=sop_instance_uid, study_instance_uid=study, state=state,
                    reason="", references=_listed(references or {}), received_at=now, changed_at=now)
            .on_conflict_do_nothing(
                index_elements=["source", "kind", "sop_instance_uid", "study_instance_uid"]
            )
            .returning(PerformedRow.id)
        )
        if entered is None:
            return False
        _tell(session, study, {"kind": kind, "state": state, "reason": ""}, references or {}, now)
    return True


def change(
    session: Session, source: str, sop_instance_uid: str, *, state: str, reason: str,
    references: Mapping[str, frozenset[str]] | None, now: datetime,
) -> bool:
    """What changed of a step; False when there is none. Raises :class:`Ended`."""
    rows = session.scalars(
        select(PerformedRow).where(*_is(source, "MPPS", sop_instance_uid)).with_for_update()
    ).all()
    for row in rows:
        if row.state in FINAL:
            raise Ended
        row.state = state or row.state
        row.reason = reason or row.reason
        row.changed_at = now
        if references is not None:
            row.references = _listed(references)
        said = {"kind": "MPPS", "state": row.state, "reason": row.reason}
        _tell(session, row.study_instance_uid, said, {uid: frozenset(some) for uid, some in row.references}, now)
    return bool(rows)


def of_open(session: Session) -> dict[str, list[Statement]]:
    """Study Instance UID -> what was said of it, of the studies that have an open series."""
    is_open = (
        select(SeriesRow.id).join(StudyRow, StudyRow.id == SeriesRow.study_id)
        .where(StudyRow.study_instance_uid == PerformedRow.study_instance_uid, SeriesRow.state == "OPEN").exists()
    )
    found: dict[str, list[Statement]] = {}
    for row in session.scalars(select(PerformedRow).where(is_open).order_by(PerformedRow.id)):
        series = {uid: frozenset(instances) for uid, instances in row.references}
        found.setdefault(row.study_instance_uid, []).append(
            Statement(kind=row.kind, state=row.state, reason=row.reason, series=series)
        )
    return found


def _is(source: str, kind: str, sop_instance_uid: str) -> tuple[ColumnElement[bool], ...]:
    return (PerformedRow.source == source, PerformedRow.kind == kind,
            PerformedRow.sop_instance_uid == sop_instance_uid)


def _listed(references: Mapping[str, frozenset[str]]) -> list[list[object]]:
    return [[series, sorted(instances)] for series, instances in sorted(references.items())]


def _tell(
    session: Session, study: str, said: dict[str, str], references: Mapping[str, frozenset[str]], now: datetime
) -> None:
    """In the timeline, where the study is here already; with how many of the named instances are."""
    study_id = session.scalar(select(StudyRow.id).where(StudyRow.study_instance_uid == study))
    if study_id is None:
        return
    here = set(session.scalars(
        select(InstanceRow.sop_instance_uid).join(SeriesRow, SeriesRow.id == InstanceRow.series_id)
        .where(SeriesRow.study_id == study_id)
    ))
    named = {uid for instances in references.values() for uid in instances}
    detail = {**said, "named": len(named), "here": len(named & here)}
    add_event(session, "performed", detail=detail, now=now, study_id=study_id)
