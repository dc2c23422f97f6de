"""How much was done in each hour of the past, grouped by the database. Reads only; every range is that of an index.

Hours are of UTC, named by the moment they begin.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, literal_column, select
from sqlalchemy.orm import aliased

from radnode.storage.jobs import JobState
from radnode.storage.ledger import InstanceState
from radnode.storage.tables import DeliveryRow, InstanceRow, JobInputRow, JobRow, StudyRow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session

HOUR = timedelta(hours=1)
MOST_RESULTS = 20_000
"""Results of one hour whose times are looked at, the newest: many times what a node makes."""
ENDED = (JobState.PRODUCED, JobState.SUPERSEDED, JobState.NOT_PROCESSED, JobState.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """One hour. studies: whose first image came. jobs: that ended, by state. latency_s: of each result sent, sorted:
    from the last image of its input to the answer of its destination.
    """

    studies: int = 0
    images: int = 0
    bytes: int = 0
    jobs: Mapping[str, int] = field(default_factory=dict)
    latency_s: tuple[float, ...] = ()


def hours(session: Session, begin: datetime, end: datetime) -> dict[datetime, Hour]:
    """Every hour from `begin` to before `end`, both whole hours; those in which nothing happened too."""
    images = {
        hour: (number, size) for hour, number, size in session.execute(
            select(_hour(session, InstanceRow.received_at), func.count(), func.sum(InstanceRow.size_bytes))
            .where(InstanceRow.state.in_(list(InstanceState)), *_within(InstanceRow.received_at, begin, end))
            .group_by(_hour(session, InstanceRow.received_at))
        )
    }
    studies = dict(session.execute(
        select(_hour(session, StudyRow.first_received_at), func.count())
        .where(*_within(StudyRow.first_received_at, begin, end)).group_by(_hour(session, StudyRow.first_received_at))
    ).all())
    jobs: dict[str, dict[str, int]] = {}
    for hour, state, number in session.execute(
        select(_hour(session, JobRow.ended_at), JobRow.state, func.count())
        .where(JobRow.state.in_(ENDED), *_within(JobRow.ended_at, begin, end))
        .group_by(_hour(session, JobRow.ended_at), JobRow.state)
    ):
        jobs.setdefault(hour, {})[state] = number
    found = {}
    at = begin
    while at < end:
        name = f"{at:%Y-%m-%d %H}"
        number, size = images.get(name, (0, 0))
        found[at] = Hour(studies=studies.get(name, 0), images=number, bytes=int(size or 0), jobs=jobs.get(name, {}),
                         latency_s=_latencies(session, at))
        at += HOUR
    return found


def _latencies(session: Session, begin: datetime) -> tuple[float, ...]:
    """An input's last image is that with its highest number: instances are numbered as they are acknowledged."""
    last = aliased(InstanceRow)
    of_job = select(func.max(JobInputRow.instance_id)).where(JobInputRow.job_id == DeliveryRow.job_id).scalar_subquery()
    rows = session.execute(
        select(DeliveryRow.sent_at, last.received_at).join(last, last.id == of_job)
        .where(*_within(DeliveryRow.sent_at, begin, begin + HOUR))
        .order_by(DeliveryRow.sent_at.desc()).limit(MOST_RESULTS)
    )
    return tuple(sorted((sent_at - received_at).total_seconds() for sent_at, received_at in rows if sent_at))


def _within(column: Any, begin: datetime, end: datetime) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return column >= begin, column < end


def _hour(session: Session, column: Any) -> ColumnElement[str]:
    """"2026-03-01 12", in UTC, on either database: both keep moments as UTC, and each has its own word for it.

    No parameters: PostgreSQL takes two that are alike for two groupings.
    """
    if session.get_bind().dialect.name == "postgresql":
        return func.to_char(func.timezone(literal_column("'UTC'"), column), literal_column("'YYYY-MM-DD HH24'"))
    return func.substr(column, 1, literal_column("13"))


def whole_hour(at: datetime) -> datetime:
    """The hour of UTC in which a moment lies."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
