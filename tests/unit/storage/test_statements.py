"""How often the tables are asked for one image and one job: on a shared database each is a way there and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.counted import counted
from support.rows import LEASE, NOW, close_all, insert_job, must_lease, new_job, produce, receive, reception, result

from radnode.storage import by_hand, catalog, jobs, outbox, priors, results

if TYPE_CHECKING:
    from radnode.storage.database import Database

OF_AN_IMAGE = 12
OF_A_JOB = 40
SLICES = 8


def test_an_image_asks_the_tables_at_most_twelve_times_its_share_of_reading_headers_included(
    database: Database,
) -> None:
    with counted(database) as alone:
        receive(database, reception(1))
    assert len(alone) <= OF_AN_IMAGE, alone

    with counted(database) as sent:
        for number in range(2, 1 + SLICES):  # each in a transaction of its own, before its Success
            receive(database, reception(number))
        _come(database, 1 + SLICES)
    assert len(sent) <= OF_AN_IMAGE * SLICES, sent


def test_an_image_that_comes_alone_into_a_series_that_is_known_asks_no_oftener(database: Database) -> None:
    """Nothing is shared then."""
    seen = 0

    def see() -> None:
        nonlocal seen
        seen += 1

    _come(database, 1)
    database.on_statement(see)
    with counted(database) as sent:
        _come(database, 2)
    assert len(sent) <= OF_AN_IMAGE, sent
    assert seen == len(sent), "as /metrics counts them"


def _come(database: Database, number: int) -> None:
    receive(database, reception(number))
    with database.read() as session:
        waiting = catalog.unindexed(session, 200)
    with database.begin() as session:
        catalog.store_headers(session, [(each.instance_id, {"Modality": "CT"}) for each in waiting])


def test_a_job_with_two_results_asks_the_tables_at_most_forty_times(database: Database) -> None:
    recorded = receive(database, *(reception(number) for number in range(SLICES)))
    (series,) = close_all(database)
    with counted(database) as sent:
        insert_job(database, new_job("job", [each.instance_id for each in recorded], series=series))
        job = must_lease(database)
        with database.begin() as session:
            results.sent_before(session, job.job_id)
            priors.given(session, job.job_id, NOW)
            by_hand.remarks(session, job.job_id)
        with database.begin() as session:
            jobs.heartbeat(session, job.job_id, job.token, NOW, LEASE)
        produce(database, job, result("1.9.1"), result("1.9.2", order=1))
        for _ in range(2):
            with database.begin() as session:
                delivery = outbox.lease_due(session, "PACS", NOW, LEASE)
            assert delivery is not None
            with database.begin() as session:
                outbox.sent(session, delivery, 0, NOW)
    assert len(sent) <= OF_A_JOB, sent
    assert len(sent) > OF_A_JOB / 2, "they are seen at all"
