"""What routes matched lately, and the series that came last with what a route may ask of them. Reads only, bounded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from radnode.storage.configuration_tables import RouteMatchRow
from radnode.storage.ledger import InstanceState, portions
from radnode.storage.order_tables import StudyContextRow
from radnode.storage.tables import HeaderRow, InstanceRow, JobRow, SeriesRow

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy.orm import Session

MOST_COUNTED = 10_000
MOST_JOBS = 200
"""The newest jobs of a pipeline, of which the median time is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """How many series and studies a route matched since a time, `more` if at least so many; and when last, ever."""

    series: int = 0
    studies: int = 0
    more: bool = False
    last: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesSeen:
    """A series with the attributes of its first and its last image that can be read. context: what orders say."""

    series_id: int
    study_id: int
    source: str
    modality: str
    description: str
    received_at: datetime
    headers: list[dict[str, Any]] = field(repr=False)
    context: dict[str, Any] = field(repr=False)


def matches(session: Session, routes: Iterable[str], since: datetime) -> dict[str, Matches]:
    """Route -> what it matched."""
    return {route: _matches(session, route, since) for route in routes}


def _matches(session: Session, route: str, since: datetime) -> Matches:
    last = session.scalar(select(func.max(RouteMatchRow.at)).where(RouteMatchRow.route == route))
    some = (
        select(RouteMatchRow.series_id).where(RouteMatchRow.route == route, RouteMatchRow.at >= since)
        .limit(MOST_COUNTED).subquery()
    )
    series, studies = session.execute(
        select(func.count(), func.count(SeriesRow.study_id.distinct())).join_from(
            some, SeriesRow, SeriesRow.id == some.c.series_id)
    ).one()
    return Matches(series=series, studies=studies, more=series == MOST_COUNTED, last=last)


def newest(session: Session, since: datetime, most: int) -> tuple[list[SeriesSeen], bool]:
    """The series that came last, newest first, at most so many; and whether there were more since then."""
    rows = session.execute(
        select(SeriesRow.id, SeriesRow.study_id, SeriesRow.source, SeriesRow.modality, SeriesRow.description,
               SeriesRow.first_received_at)
        .order_by(SeriesRow.id.desc()).limit(most + 1)
    ).all()
    recent = [row for row in rows if row.first_received_at >= since]
    chosen = recent[:most]
    headers = _headers(session, [row.id for row in chosen])
    contexts = _contexts(session, {row.study_id for row in chosen})
    return [
        SeriesSeen(
            series_id=row.id, study_id=row.study_id, source=row.source, modality=row.modality or "",
            description=row.description or "", received_at=row.first_received_at, headers=headers[row.id],
            context=contexts.get(row.study_id, {}),
        )
        for row in chosen if row.id in headers
    ], len(recent) > most


def _headers(session: Session, series_ids: Iterable[int]) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    readable = InstanceRow.state.not_in((InstanceState.QUARANTINED, InstanceState.EXPIRED))
    for some in portions(series_ids):
        ends = session.execute(
            select(InstanceRow.series_id, func.min(InstanceRow.id), func.max(InstanceRow.id))
            .where(InstanceRow.series_id.in_(some), InstanceRow.indexed.is_(True), readable)
            .group_by(InstanceRow.series_id)
        ).all()
        series_of = {number: series_id for series_id, first, last in ends for number in (first, last)}
        for ids in portions(series_of):
            for number, attributes in session.execute(
                select(HeaderRow.instance_id, HeaderRow.attributes).where(HeaderRow.instance_id.in_(ids))
            ):
                found.setdefault(series_of[number], []).append(attributes)
    return found


def _contexts(session: Session, study_ids: Iterable[int]) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for some in portions(study_ids):
        rows = session.execute(
            select(StudyContextRow.study_id, StudyContextRow.context)
            .where(StudyContextRow.study_id.in_(some), StudyContextRow.conflict == "")
        )
        found.update((study_id, context) for study_id, context in rows)
    return found


def median_seconds(session: Session, pipeline: str) -> float | None:
    """How long its last jobs took, the median; None if none has ended lately."""
    newest_id = session.scalar(select(func.max(JobRow.id))) or 0
    rows = session.execute(
        select(JobRow.started_at, JobRow.ended_at)
        .where(JobRow.id > newest_id - MOST_COUNTED, JobRow.pipeline == pipeline,
               JobRow.state.in_(("PRODUCED", "SUPERSEDED")))
        .order_by(JobRow.id.desc()).limit(MOST_JOBS)
    )
    took = sorted((ended - started).total_seconds() for started, ended in rows if started and ended)
    return took[len(took) // 2] if took else None
