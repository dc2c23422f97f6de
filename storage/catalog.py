"""Studies, series and instances: recording what arrives, and what is known of it afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import CursorResult, func, insert, select, update

from radnode.storage import ledger, listing
from radnode.storage.configuration_tables import RouteMatchRow
from radnode.storage.dialects import insert_for
from radnode.storage.ledger import InstanceState
from radnode.storage.tables import EventRow, HeaderRow, InstanceRow, JobRow, RoutingRow, SeriesRow, StudyRow, plain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Executable, ScalarSelect
    from sqlalchemy.orm import InstrumentedAttribute, Session


class SeriesState(StrEnum):
    """OPEN: may still grow. The others are decided; a late instance opens any of them again.

    DISCARDED: somebody has said that it is not to be read.
    """

    OPEN = "OPEN"
    CLOSED = "CLOSED"
    HELD = "HELD"
    CONFLICT = "CONFLICT"
    DISCARDED = "DISCARDED"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesSnapshot:
    """An open series as it is now.

    unindexed: instances whose header was not read yet. study_conflict: why its study is in doubt, empty if it is not.
    """

    series_id: int
    study_id: int
    series_instance_uid: str
    study_instance_uid: str
    source: str
    revision: int
    received: int
    unindexed: int
    associations_seen: int
    queried_count: int | None
    last_received_at: datetime
    study_conflict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PastSeries:
    """A series that was received. source: the peer's name."""

    series_id: int
    study_id: int
    study_instance_uid: str
    series_instance_uid: str
    modality: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceHeader:
    """An instance of a series with its attributes."""

    instance_id: int
    sop_instance_uid: str
    digest: str
    state: InstanceState
    reason: str
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unindexed:
    """An instance whose header is to be read."""

    instance_id: int
    digest: str


def unindexed(session: Session, limit: int) -> list[Unindexed]:
    """The oldest instances whose header was not read yet."""
    rows = session.execute(
        select(InstanceRow.id, InstanceRow.digest)
        .where(InstanceRow.indexed.is_(False))
        .order_by(InstanceRow.id)
        .limit(limit)
    )
    return [Unindexed(instance_id=number, digest=digest) for number, digest in rows]


def store_headers(session: Session, headers: Sequence[tuple[int, dict[str, Any]]]) -> None:
    """Store the attributes of instances, and what they tell about their study and series."""
    if not headers:
        return
    attributes = dict(headers)
    images = listing.received(session, attributes)
    statement = insert_for(session, HeaderRow)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["instance_id"], set_={"attributes": statement.excluded.attributes}
        ),
        [{"instance_id": number, "attributes": said} for number, said in attributes.items()],
    )
    session.execute(update(InstanceRow).where(InstanceRow.id.in_(attributes)).values(indexed=True))
    first = {image.series.id: image for image in reversed(images)}
    for image in first.values():
        _describe(image.series, image.study, attributes[image.instance_id])
    session.flush()
    listing.enter(session, images, attributes)


def reject_header(session: Session, instance_id: int, reason: str, now: datetime) -> None:
    """The header of an instance cannot be read: the bytes stay, nothing is routed on them."""
    session.execute(update(InstanceRow).where(InstanceRow.id == instance_id).values(indexed=True))
    ledger.move(session, [instance_id], InstanceState.QUARANTINED, reason=reason, now=now)


def open_series(session: Session) -> list[SeriesSnapshot]:
    """Every series that is not decided."""
    return _snapshots(session, SeriesRow.state == SeriesState.OPEN)


def closed_series(session: Session, study_id: int) -> list[SeriesSnapshot]:
    """The series of a study that were closed and routed."""
    return _snapshots(session, SeriesRow.study_id == study_id, SeriesRow.state == SeriesState.CLOSED)


def _snapshots(session: Session, *which: ColumnElement[bool]) -> list[SeriesSnapshot]:
    waiting = dict(
        session.execute(
            select(InstanceRow.series_id, func.count())
            .where(InstanceRow.indexed.is_(False))
            .group_by(InstanceRow.series_id)
        ).all()
    )
    rows = session.execute(
        select(
            SeriesRow,
            StudyRow.study_instance_uid,
            StudyRow.conflict,
            func.count(InstanceRow.association.distinct()),
        )
        .join(StudyRow, StudyRow.id == SeriesRow.study_id)
        .join(InstanceRow, InstanceRow.series_id == SeriesRow.id)
        .where(*which)
        .group_by(SeriesRow.id, StudyRow.study_instance_uid, StudyRow.conflict)
        .order_by(SeriesRow.id)
    )
    return [
        SeriesSnapshot(
            series_id=series.id,
            study_id=series.study_id,
            series_instance_uid=series.series_instance_uid,
            study_instance_uid=study_instance_uid,
            source=series.source,
            revision=series.revision,
            received=series.received,
            unindexed=waiting.get(series.id, 0),
            associations_seen=associations,
            queried_count=series.queried_count,
            last_received_at=series.last_received_at,
            study_conflict=conflict,
        )
        for series, study_instance_uid, conflict, associations in rows
    ]


def newest_series(session: Session, limit: int) -> list[PastSeries]:
    """The series that came last, newest first, whatever became of them."""
    rows = session.execute(
        select(SeriesRow, StudyRow.study_instance_uid)
        .join(StudyRow, StudyRow.id == SeriesRow.study_id)
        .order_by(SeriesRow.last_received_at.desc(), SeriesRow.id.desc())
        .limit(limit)
    )
    return [
        PastSeries(
            series_id=series.id, study_id=series.study_id, study_instance_uid=study_instance_uid,
            series_instance_uid=series.series_instance_uid,
            modality=series.modality or "", source=series.source,
        )
        for series, study_instance_uid in rows
    ]


def headers(session: Session, series_id: int) -> list[InstanceHeader]:
    """The instances of a series that can be read, in order of arrival."""
    rows = session.execute(
        select(InstanceRow, HeaderRow.attributes)
        .join(HeaderRow, HeaderRow.instance_id == InstanceRow.id)
        .where(
            InstanceRow.series_id == series_id,
            InstanceRow.state.not_in((InstanceState.QUARANTINED, InstanceState.EXPIRED)),
        )
        .order_by(InstanceRow.id)
    )
    return [
        InstanceHeader(
            instance_id=instance.id,
            sop_instance_uid=instance.sop_instance_uid,
            digest=instance.digest,
            state=InstanceState(instance.state),
            reason=instance.reason,
            attributes=attributes,
        )
        for instance, attributes in rows
    ]


def expired(session: Session, series_id: int) -> int:
    """How many instances of a series are not kept any more."""
    return session.scalar(
        select(func.count()).select_from(InstanceRow)
        .where(InstanceRow.series_id == series_id, InstanceRow.state == InstanceState.EXPIRED)
    ) or 0


def unreadable(session: Session, series_id: int) -> int:
    """How many instances of a series have a header that cannot be read."""
    return (
        session.scalar(
            select(func.count()).where(
                InstanceRow.series_id == series_id, InstanceRow.state == InstanceState.QUARANTINED
            )
        )
        or 0
    )


def note_count(session: Session, series_id: int, count: int, now: datetime) -> None:
    """How many instances the source says the series has."""
    session.execute(update(SeriesRow).where(SeriesRow.id == series_id).values(queried_count=count, queried_at=now))


def close_series(
    session: Session, series: SeriesSnapshot, *, grounds: list[dict[str, Any]], now: datetime
) -> bool:
    """Close a series exactly as it was seen; False when it has changed since, then nothing is written."""
    return _decide(session, series, SeriesState.CLOSED, reason="", grounds=grounds, now=now)


def hold_series(
    session: Session, series: SeriesSnapshot, *, reason: str, grounds: list[dict[str, Any]], now: datetime
) -> bool:
    """Hold an incomplete series: nothing runs on it until a missing instance arrives."""
    done = _decide(session, series, SeriesState.HELD, reason=reason, grounds=grounds, now=now)
    if done:
        ledger.move(session, _instances(session, series), InstanceState.INCOMPLETE, reason=reason, now=now)
    return done


def conflict_series(
    session: Session, series: SeriesSnapshot, *, reason: str, grounds: list[dict[str, Any]], now: datetime
) -> bool:
    """Set aside a series whose instances contradict each other; a person has to look."""
    done = _decide(session, series, SeriesState.CONFLICT, reason=reason, grounds=grounds, now=now)
    if done:
        ledger.move(session, _instances(session, series), InstanceState.CONFLICT, reason=reason, now=now)
    return done


def store_routing(
    session: Session, series: SeriesSnapshot, *, explanations: list[Any], configuration_digest: str, now: datetime
) -> None:
    """Keep why each route did or did not run for this revision, and which matched."""
    _match(session, series, explanations, now)
    session.add(
        RoutingRow(
            series_id=series.series_id,
            revision=series.revision,
            at=now,
            configuration_digest=configuration_digest,
            explanations=explanations,
        )
    )


def routing_of(session: Session, series: SeriesSnapshot) -> list[Any]:
    """What was kept of this revision; empty if nothing was."""
    kept = session.scalar(
        select(RoutingRow.explanations)
        .where(RoutingRow.series_id == series.series_id, RoutingRow.revision == series.revision)
    )
    return kept or []


def amend_routing(session: Session, series: SeriesSnapshot, explanations: list[Any], now: datetime) -> None:
    """The same for a revision that was routed: some of its routes were asked again."""
    _match(session, series, explanations, now)
    session.execute(
        update(RoutingRow)
        .where(RoutingRow.series_id == series.series_id, RoutingRow.revision == series.revision)
        .values(explanations=explanations, at=now)
    )


def _match(session: Session, series: SeriesSnapshot, explanations: list[Any], now: datetime) -> None:
    if matched := [each["route"] for each in explanations if each.get("matched")]:
        statement = insert_for(session, RouteMatchRow)
        session.execute(
            statement.on_conflict_do_update(index_elements=["route", "series_id"], set_={"at": now}),
            [{"route": plain(route), "series_id": series.series_id, "at": now} for route in matched],
        )


def add_event(
    session: Session,
    kind: str,
    *,
    detail: dict[str, Any],
    now: datetime,
    study_id: int | None = None,
    series_id: int | None = None,
    job_id: int | None = None,
) -> None:
    """Append to the timeline; what happens to a job happens to its study and series."""
    session.execute(
        insert(EventRow).values(
            kind=kind, detail=detail, at=now, job_id=job_id,
            study_id=_of_job(JobRow.study_id, job_id) if study_id is None else study_id,
            series_id=_of_job(JobRow.series_id, job_id) if series_id is None else series_id,
        )
    )


def _of_job(column: InstrumentedAttribute[int], job_id: int | None) -> ScalarSelect[int] | None:
    return None if job_id is None else select(column).where(JobRow.id == job_id).scalar_subquery()


def lock_series_of(session: Session, job_id: int) -> None:
    """Before a job or a delivery of this series is touched, so that all lock in one order."""
    session.execute(
        select(SeriesRow.id)
        .where(SeriesRow.id == select(JobRow.series_id).where(JobRow.id == job_id).scalar_subquery())
        .with_for_update(key_share=True)
    )


def affected(session: Session, statement: Executable) -> int:
    """Execute an UPDATE or DELETE; how many rows it changed."""
    return cast("CursorResult[Any]", session.execute(statement)).rowcount


_DECIDED = {SeriesState.CLOSED: "series closed", SeriesState.HELD: "series held",
            SeriesState.CONFLICT: "series conflict"}


def _decide(
    session: Session,
    series: SeriesSnapshot,
    state: SeriesState,
    *,
    reason: str,
    grounds: list[dict[str, Any]],
    now: datetime,
) -> bool:
    done = affected(
        session,
        update(SeriesRow)
        .where(
            SeriesRow.id == series.series_id,
            SeriesRow.state == SeriesState.OPEN,
            SeriesRow.revision == series.revision,
            SeriesRow.received == series.received,
        )
        .values(state=state, reason=reason, grounds=grounds, closed_at=now),
    )
    if done:
        add_event(
            session,
            _DECIDED[state],
            detail={"revision": series.revision, "instances": series.received, "reason": reason, "grounds": grounds},
            now=now,
            study_id=series.study_id,
            series_id=series.series_id,
        )
    return done == 1


def _instances(session: Session, series: SeriesSnapshot) -> list[int]:
    return list(session.scalars(select(InstanceRow.id).where(InstanceRow.series_id == series.series_id)))


def _describe(series: SeriesRow, study: StudyRow, attributes: dict[str, Any]) -> None:
    """Fill what is still unknown about a series and its study; nothing known is overwritten."""
    series.modality = series.modality or _text(attributes, "Modality")
    series.description = series.description or _text(attributes, "SeriesDescription")
    study.accession_number = study.accession_number or _text(attributes, "AccessionNumber")
    study.study_date = study.study_date or _text(attributes, "StudyDate")
    study.description = study.description or _text(attributes, "StudyDescription")


def _text(attributes: dict[str, Any], keyword: str) -> str | None:
    value = attributes.get(keyword)
    return None if value is None else str(value)
