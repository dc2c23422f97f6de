from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import update
from support.rows import MINUTE, NOW, job_over, must_lease, must_lease_delivery, produce, refuse, result

from radnode.storage import connections, job_figures, outbox
from radnode.storage.connections import ARRIVED
from radnode.storage.outbox import OTHER_PATIENT, DeliveryState
from radnode.storage.tables import DeliveryRow, JobRow

if TYPE_CHECKING:
    from radnode.storage.database import Database


def queued(database: Database, *uids: str, image: int = 1) -> None:
    """A job over an image, whose results wait for PACS."""
    job_over(database, image, key=f"job {image}")
    produce(database, must_lease(database), *(result(uid, order) for order, uid in enumerate(uids)))


def test_of_a_destination_is_told_what_waits_what_was_given_up_and_when_something_arrived(database: Database) -> None:
    queued(database, "1.1", "1.2")
    with database.read() as session:
        before = connections.traffic(session, "PACS")
        assert (before.waiting, before.waits_since, before.given_up, before.last_at) == (2, NOW, 0, None)
        assert connections.traffic(session, "OTHER") == connections.Traffic()
    first, later = must_lease_delivery(database), NOW + MINUTE
    with database.begin() as session:
        outbox.sent(session, first, 0, later)
    second = must_lease_delivery(database)
    with database.begin() as session:
        outbox.dead(session, second, "status 0x0122", later)
    with database.read() as session:
        after = connections.traffic(session, "PACS")
        assert (after.waiting, after.given_up, after.held_back, after.last_at) == (0, 1, 0, later)
        (dead,) = connections.newest_of(session, "PACS", [DeliveryState.DEAD], 5)
        assert (dead.form, dead.reason, dead.held_back) == ("TID1500", "status 0x0122", False)


def test_what_is_held_back_for_its_patient_is_not_counted_as_given_up(database: Database) -> None:
    queued(database, "1.1")
    delivery = must_lease_delivery(database)
    with database.begin() as session:
        outbox.dead(session, delivery, f"{OTHER_PATIENT}: another PatientID", NOW)
    with database.read() as session:
        traffic = connections.traffic(session, "PACS")
        assert (traffic.given_up, traffic.held_back) == (0, 1)
        assert connections.newest_of(session, "PACS", [DeliveryState.DEAD], 5)[0].held_back


def test_the_newest_come_first_over_all_states_and_page_by_page(database: Database) -> None:
    for image in range(1, 6):
        queued(database, f"1.{image}", image=image)
    with database.begin() as session:
        for number, state in enumerate(("WAITING", "SENT", "WAITING", "CONFIRMED", "SENT"), start=1):
            session.execute(update(DeliveryRow).where(DeliveryRow.id == number).values(
                state=state, due_at=NOW + number * MINUTE, sent_at=NOW + number * MINUTE))
    with database.read() as session:
        def page(offset: int) -> list[int]:
            found = connections.newest_of(
                session, "PACS", [DeliveryState.WAITING, *ARRIVED], 2, offset=offset)
            return [each.delivery for each in found]

        assert (page(0), page(2), page(4)) == ([5, 4], [3, 2], [1])


def test_how_arrival_was_proven_is_counted_by_its_proof(database: Database) -> None:
    for image in range(1, 4):
        queued(database, f"1.{image}", image=image)
    with database.begin() as session:
        session.execute(update(DeliveryRow).values(state="SENT", sent_at=NOW))
        for number, wait in ((1, 10), (2, 30)):
            session.execute(update(DeliveryRow).where(DeliveryRow.id == number).values(
                state="CONFIRMED", confirmed_at=NOW + timedelta(seconds=wait), confirmed_how="C-FIND"))
    with database.read() as session:
        found = connections.confirmation(connections.newest_of(session, "PACS", ARRIVED, 10))
    assert (found.number, found.by, found.unproven, found.median_s) == (3, {"C-FIND": 2}, 1, 30.0)


def test_jobs_are_counted_by_how_they_ended_and_since_when_is_said(database: Database) -> None:
    queued(database, "1.1")
    job_over(database, 2, key="second")
    refuse(database, must_lease(database))
    with database.begin() as session:
        session.execute(update(JobRow).where(JobRow.id == 1).values(created_at=NOW - timedelta(days=40)))
    with database.read() as session:
        counted = job_figures.by_state(session, NOW - timedelta(days=30))
        assert (counted.since, counted.by) == (NOW - timedelta(days=30), {"ct-lung": {"NOT_PROCESSED": 1}})
        whole = job_figures.by_state(session, NOW - timedelta(days=50))
        assert whole.by == {"ct-lung": {"SUPERSEDED": 1, "NOT_PROCESSED": 1}}  # of the same series
        assert [each.state for each in job_figures.newest_ended(session)] == ["NOT_PROCESSED", "SUPERSEDED"]
        assert job_figures.forms(session) == {"ct-lung": {"SEG": 1}}
