"""What happens now is read off the tables as it is."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from support.rows import MINUTE, NOW, close_all, job_over, must_lease, produce, receive, reception, result

from radnode.storage import outbox, present

if TYPE_CHECKING:
    from radnode.storage.database import Database


def test_the_queue_says_by_priority_how_many_wait_since_when_and_how_many_are_late(database: Database) -> None:
    job_over(database, 1, key="a", priority=0, within=MINUTE)
    receive(database, reception(2, series=2, study=2))
    close_all(database)
    with database.read() as session:
        (urgent,) = present.waiting_jobs(session, NOW + 2 * MINUTE)
        assert present.waiting_jobs(session, NOW)[0].late == 0
    assert (urgent.priority, urgent.number, urgent.oldest, urgent.late, urgent.for_priors) == (0, 1, NOW, 1, 0)


def test_a_job_that_runs_is_no_more_in_the_queue(database: Database) -> None:
    job_over(database, 1)
    job = must_lease(database)
    with database.read() as session:
        assert present.waiting_jobs(session, NOW) == []
        (running,) = present.running_jobs(session)
    assert (running.job_id, running.pipeline, running.started_at) == (job.job_id, "ct-lung", NOW)


def test_results_that_wait_and_that_were_given_up_are_counted_by_destination(database: Database) -> None:
    job_over(database, 1)
    produce(database, must_lease(database), result("1.9.1"), result("1.9.2", 1), now=NOW + MINUTE)
    with database.read() as session:
        assert present.outgoing(session) == {"PACS": present.Outgoing(waiting=2, oldest=NOW + MINUTE)}
    with database.begin() as session:
        delivery = outbox.lease_due(session, "PACS", NOW + MINUTE, timedelta(seconds=30))
        assert delivery is not None
        outbox.dead(session, delivery, "no such class", NOW)
    with database.read() as session:
        assert present.outgoing(session)["PACS"].dead == 1
