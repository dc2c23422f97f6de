"""What is known of studies, for saying in one word and one sentence what became of each. Reads only, many at once."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from radnode.storage.ledger import portions
from radnode.storage.listing_tables import ListedStudyRow
from radnode.storage.study_tables import StudyHoldRow
from radnode.storage.tables import DeliveryRow, JobRow, RoutingRow, SeriesRow, StudyRoutingRow, StudyRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFacts:
    """A series. reason: why it is held, in conflict or discarded."""

    series_id: int
    modality: str
    description: str
    source: str
    state: str
    reason: str
    received: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFacts:
    """How many result objects of a job are in one state at one destination. reason: one that is said."""

    destination: str
    state: str
    number: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """A job. outcome: what its run reported (FINDINGS, NOTHING_FOUND, ...), empty before."""

    job_id: int
    series_id: int
    pipeline: str
    revision: int
    state: str
    reason: str
    outcome: str
    route_names: tuple[str, ...]
    created_at: datetime
    deliveries: tuple[DeliveryFacts, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Somebody holds a study."""

    by: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFacts:
    """A study. pending: its series are decided and it is still to be judged as a whole. routings: what was said of
    routes, series by series (:func:`radnode.node.routing.as_json`), only where there is no job.
    """

    study_id: int
    study_instance_uid: str
    patient_id: str
    patient_name: str
    accession_number: str
    study_date: str
    description: str
    conflict: str
    first_received_at: datetime
    last_received_at: datetime
    series: tuple[SeriesFacts, ...]
    jobs: tuple[JobFacts, ...]
    hold: Hold | None
    pending: bool
    routings: tuple[tuple[Mapping[str, Any], ...], ...] = ()


def facts(session: Session, study_ids: Iterable[int]) -> dict[int, StudyFacts]:
    """Study id -> what is known of it."""
    found: dict[int, StudyFacts] = {}
    for some in portions(study_ids):
        found |= _facts(session, some)
    return found


def _facts(session: Session, ids: Sequence[int]) -> dict[int, StudyFacts]:
    series, jobs = _series(session, ids), _jobs(session, ids)
    names: dict[int, dict[str, Any]] = dict(session.execute(
        select(ListedStudyRow.study_id, ListedStudyRow.attributes).where(ListedStudyRow.study_id.in_(ids))
    ).all())
    holds = {row.study_id: Hold(by=row.by, reason=row.reason, at=row.at)
             for row in session.scalars(select(StudyHoldRow).where(StudyHoldRow.study_id.in_(ids)))}
    pending = set(session.scalars(select(StudyRoutingRow.study_id).where(
        StudyRoutingRow.study_id.in_(ids), StudyRoutingRow.pending.is_(True))))
    routings = _routings(session, [number for number in ids if number not in jobs])
    return {
        row.id: StudyFacts(
            study_id=row.id, study_instance_uid=row.study_instance_uid, patient_id=row.patient_id,
            patient_name=str((names.get(row.id) or {}).get("PatientName") or ""),
            accession_number=row.accession_number or "", study_date=row.study_date or "",
            description=row.description or "", conflict=row.conflict, first_received_at=row.first_received_at,
            last_received_at=row.last_received_at, series=tuple(series.get(row.id, ())),
            jobs=tuple(jobs.get(row.id, ())), hold=holds.get(row.id), pending=row.id in pending,
            routings=tuple(routings.get(row.id, ())),
        )
        for row in session.scalars(select(StudyRow).where(StudyRow.id.in_(ids)))
    }


def _series(session: Session, ids: Sequence[int]) -> dict[int, list[SeriesFacts]]:
    found: dict[int, list[SeriesFacts]] = defaultdict(list)
    for row in session.execute(
        select(SeriesRow.study_id, SeriesRow.id, SeriesRow.modality, SeriesRow.description, SeriesRow.source,
               SeriesRow.state, SeriesRow.reason, SeriesRow.received)
        .where(SeriesRow.study_id.in_(ids)).order_by(SeriesRow.id)
    ):
        found[row.study_id].append(SeriesFacts(
            series_id=row.id, modality=row.modality or "", description=row.description or "", source=row.source,
            state=row.state, reason=row.reason, received=row.received,
        ))
    return found


def _jobs(session: Session, ids: Sequence[int]) -> dict[int, list[JobFacts]]:
    deliveries: dict[int, list[DeliveryFacts]] = defaultdict(list)
    for row in session.execute(
        select(DeliveryRow.job_id, DeliveryRow.destination, DeliveryRow.state, func.count().label("number"),
               func.max(DeliveryRow.reason).label("reason"))
        .join(JobRow, JobRow.id == DeliveryRow.job_id).where(JobRow.study_id.in_(ids))
        .group_by(DeliveryRow.job_id, DeliveryRow.destination, DeliveryRow.state)
    ):
        deliveries[row.job_id].append(DeliveryFacts(
            destination=row.destination, state=row.state, number=row.number, reason=row.reason or ""
        ))
    found: dict[int, list[JobFacts]] = defaultdict(list)
    for row in session.execute(
        select(JobRow.study_id, JobRow.id, JobRow.series_id, JobRow.pipeline, JobRow.revision, JobRow.state,
               JobRow.reason, JobRow.report["state"].as_string().label("outcome"), JobRow.route_names,
               JobRow.created_at)
        .where(JobRow.study_id.in_(ids)).order_by(JobRow.id)
    ):
        found[row.study_id].append(JobFacts(
            job_id=row.id, series_id=row.series_id, pipeline=row.pipeline, revision=row.revision, state=row.state,
            reason=row.reason, outcome=row.outcome or "", route_names=tuple(row.route_names),
            created_at=row.created_at, deliveries=tuple(deliveries.get(row.id, ())),
        ))
    return found


def _routings(session: Session, ids: Sequence[int]) -> dict[int, list[tuple[Mapping[str, Any], ...]]]:
    """Of the latest revision of each series."""
    latest: dict[int, tuple[int, tuple[Mapping[str, Any], ...]]] = {}
    for row in session.execute(
        select(SeriesRow.study_id, RoutingRow.series_id, RoutingRow.explanations)
        .join(SeriesRow, SeriesRow.id == RoutingRow.series_id)
        .where(SeriesRow.study_id.in_(ids)).order_by(RoutingRow.series_id, RoutingRow.revision)
    ):
        latest[row.series_id] = (row.study_id, tuple(row.explanations))
    found: dict[int, list[tuple[Mapping[str, Any], ...]]] = defaultdict(list)
    for study_id, explanations in latest.values():
        found[study_id].append(explanations)
    return found
