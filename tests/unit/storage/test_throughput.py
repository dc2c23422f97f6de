"""What was done in an hour is counted in that hour, in UTC, on either database, and by an index."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, select, text
from support.rows import NOW, job_over, must_lease, produce, receive, reception, result

from radnode.storage import outbox, throughput
from radnode.storage.tables import DeliveryRow, InstanceRow, JobRow, StudyRow
from radnode.storage.throughput import HOUR, whole_hour

if TYPE_CHECKING:
    from radnode.storage.database import Database

LEASE = timedelta(seconds=30)


def hours(database: Database, begin: datetime, number: int) -> list[throughput.Hour]:
    """So many hours from there."""
    with database.read() as session:
        found = throughput.hours(session, begin, begin + number * HOUR)
    assert list(found) == [begin + each * HOUR for each in range(number)]
    return list(found.values())


def test_images_and_studies_count_in_the_hour_in_which_they_came(database: Database) -> None:
    receive(database, reception(1), reception(2), reception(3, study=2, series=2, at=NOW + timedelta(minutes=59)))
    receive(database, reception(4, at=NOW + HOUR))
    before, first, second = hours(database, NOW - HOUR, 3)
    assert (before.images, before.studies, before.bytes) == (0, 0, 0)
    assert (first.images, first.studies, first.bytes) == (3, 2, 3000)
    assert (second.images, second.studies) == (1, 0), "its study came an hour before"


def test_jobs_count_by_state_when_they_end_and_results_with_their_time_since_the_last_image(database: Database) -> None:
    job_over(database, 1, 2)
    produce(database, must_lease(database), result("1.9.1"), now=NOW + HOUR)
    with database.begin() as session:
        delivery = outbox.lease_due(session, "PACS", NOW + 2 * HOUR, LEASE)
        assert delivery is not None
        outbox.sent(session, delivery, 0, NOW + 2 * HOUR)
    first, second, third = hours(database, NOW, 3)
    assert (first.jobs, second.jobs, third.jobs) == ({}, {"PRODUCED": 1}, {})
    assert (first.latency_s, second.latency_s, third.latency_s) == ((), (), (7200.0,))


def test_an_hour_is_one_of_utc_wherever_somebody_asks() -> None:
    assert whole_hour(datetime.fromisoformat("2026-03-01T13:59:59+05:30")) == datetime(2026, 3, 1, 8, tzinfo=UTC)


def test_no_hour_is_counted_by_reading_a_whole_table(database: Database) -> None:
    if database.engine.dialect.name != "sqlite":
        return  # its planner reads small tables whole, and is right
    since, until = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    for column in (StudyRow.first_received_at, JobRow.ended_at, DeliveryRow.sent_at, InstanceRow.received_at):
        which = [column >= since, column < until]
        if column is InstanceRow.received_at:
            which.append(InstanceRow.state.in_(["RECEIVED", "EXPIRED"]))
        counted = select(func.count()).where(*which).compile(database.engine, compile_kwargs={"literal_binds": True})
        with database.read() as session:
            plan = " ".join(row[-1] for row in session.execute(text(f"EXPLAIN QUERY PLAN {counted}")))
        assert "SEARCH" in plan, plan
