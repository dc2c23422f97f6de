"""Which forms a destination does not take, and whom a result that says so goes to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select
from support.rows import (
    LEASE,
    NOW,
    close_all,
    insert_job,
    job_over,
    lease_delivery,
    must_lease,
    named,
    new_job,
    receive,
    reception,
)

from radnode.storage import jobs, outbox, results
from radnode.storage.tables import DeliveryRow, ResultObjectRow

if TYPE_CHECKING:
    from radnode.storage.database import Database
    from radnode.storage.results import NewResultObject


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


def _answered(database: Database, revision: int, *objects: NewResultObject, accepted: bool = True) -> int:
    """One more image, and the answer of the job over all of them, sent or not."""
    recorded = receive(database, *(reception(number) for number in range(1, revision + 1)))
    (series,) = close_all(database)
    job_id = insert_job(database, new_job(f"{revision}", [each.instance_id for each in recorded], series=series))
    job = must_lease(database)
    assert job.job_id == job_id
    with database.begin() as session:
        jobs.produced(session, job.job_id, job.token, objects=objects, report={}, now=NOW,
                      destinations={"PACS": [each.name for each in objects]})
    while accepted and (delivery := lease_delivery(database)):
        with database.begin() as session:
            outbox.sent(session, delivery, 0, NOW)
    return job.job_id


def test_a_revision_comes_after_the_last_object_of_each_name_that_a_destination_accepted(database: Database) -> None:
    first = _answered(database, 1, named("SEG", 1), named("TID1500+SEG", 1))
    second = _answered(database, 2, named("SEG", 2))
    third = _answered(database, 3, named("SEG", 3), named("TID1500+SEG", 3), accepted=False)
    with database.read() as session:
        before = {job: [(each.name, each.sop_instance_uid) for each in results.sent_before(session, job)]
                  for job in (first, second, third)}
    seg, report = (named(name, 1) for name in ("SEG", "TID1500+SEG"))
    assert before[first] == []
    assert before[second] == [("SEG", seg.sop_instance_uid), ("TID1500+SEG", report.sop_instance_uid)]
    assert before[third] == [("SEG", named("SEG", 2).sop_instance_uid), ("TID1500+SEG", report.sop_instance_uid)]
    fourth = _answered(database, 4, named("TID1500+SEG", 4))
    with database.read() as session:
        assert [each.sop_instance_uid for each in results.sent_before(session, fourth) if each.name == "TID1500+SEG"] \
            == [report.sop_instance_uid], "what nobody accepted is no predecessor"
