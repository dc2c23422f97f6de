"""Which forms a destination does not take, and whom a result that says so goes to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select
from support.rows import LEASE, NOW, job_over, must_lease, named

from radnode.storage import jobs, results
from radnode.storage.tables import DeliveryRow, ResultObjectRow

if TYPE_CHECKING:
    from radnode.storage.database import Database


def test_a_refused_form_is_remembered_until_the_peer_changes_or_somebody_asks(database: Database) -> None:
    with database.begin() as session:
        results.remember_refusal(session, "PACS", "LABELMAP", "digest 1", "no context", NOW)
        results.remember_refusal(session, "PACS", "LABELMAP", "digest 1", "no context, again", NOW + LEASE)
    with database.read() as session:
        assert results.refusals(session, "PACS", "digest 1") == {"LABELMAP"}
        assert results.refusals(session, "PACS", "digest 2") == set()
        assert results.refusals(session, "OTHER", "digest 1") == set()
        (remembered,) = results.all_refusals(session)
        assert remembered.reason == "no context, again"
    with database.begin() as session:
        assert results.forget_refusals(session, "PACS") == 1
        assert results.forget_refusals(session, "PACS") == 0
        assert results.all_refusals(session) == []


def test_what_a_destination_refused_is_forgotten_when_it_is_configured_otherwise_or_removed(database: Database) -> None:
    with database.begin() as session:
        for destination in ("PACS", "OTHER", "GONE"):
            results.remember_refusal(session, destination, "LABELMAP", "digest 1", "no context", NOW)
        assert results.forget_outdated_refusals(session, {"PACS": "digest 1", "OTHER": "digest 2", "NEW": "1"}) == 2
        assert [each.destination for each in results.all_refusals(session)] == ["PACS"]
        assert results.forget_outdated_refusals(session, {}) == 1


def test_a_refusal_to_read_a_study_is_queued_like_any_result(database: Database) -> None:
    for number, end in ((1, jobs.not_processed), (2, jobs.failed)):
        job_over(database, number, key=f"job {number}")
        job = must_lease(database)
        with database.begin() as session:
            end(session, job.job_id, job.token, "no lung", {}, NOW, objects=[named("NOT-PROCESSED", number)],
                destinations={"PACS": ["NOT-PROCESSED"]})
    with database.read() as session:
        rows = session.execute(
            select(ResultObjectRow.name, DeliveryRow.destination, DeliveryRow.state)
            .join(DeliveryRow, DeliveryRow.result_object_id == ResultObjectRow.id)
        )
        assert [tuple(row) for row in rows] == [("NOT-PROCESSED", "PACS", "WAITING")] * 2
