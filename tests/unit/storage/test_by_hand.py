"""What people order of studies: held, run again, closed as it is, discarded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select
from support.rows import (
    MINUTE,
    NOW,
    close_all,
    insert_job,
    job_over,
    lease,
    must_lease,
    must_lease_delivery,
    new_job,
    produce,
    receive,
    reception,
    refuse,
    result,
    states,
)

from radnode.storage import by_hand, catalog, jobs, ledger, outbox
from radnode.storage.by_hand import NotPossible
from radnode.storage.jobs import JobState, LeaseLost
from radnode.storage.tables import DeliveryRow, EventRow, JobRow, SeriesRow

if TYPE_CHECKING:
    from radnode.storage.database import Database

BY = {"by": "anna", "reason": "the scanner was being repaired", "now": NOW}


def series_of(database: Database, number: int = 1) -> SeriesRow:
    with database.read() as session:
        return session.get_one(SeriesRow, number)


def job_state(database: Database, number: int = 1) -> str:
    with database.read() as session:
        return session.get_one(JobRow, number).state


def told(database: Database) -> list[str]:
    with database.read() as session:
        return [row.kind for row in session.scalars(select(EventRow).order_by(EventRow.id)) if "by" in row.detail]


def hold_series(database: Database, *numbers: int) -> None:
    receive(database, *(reception(number) for number in numbers))
    with database.begin() as session:
        (series,) = catalog.open_series(session)
        assert catalog.hold_series(session, series, reason="2 slices are missing", grounds=[], now=NOW)


def test_no_job_of_a_study_that_is_held_starts_until_it_is_let_go(database: Database) -> None:
    job_over(database, 1, 2)
    with database.begin() as session:
        by_hand.hold(session, 1, **BY)
    assert lease(database) is None
    with database.read() as session:
        assert jobs.next_waiting(session, ("ct-lung",), NOW) is None
    with database.begin() as session:
        jobs.give_back(session, NOW, "another life")
    assert lease(database) is None, "a restart of the node lets nothing go"
    with database.begin() as session:
        by_hand.let_go(session, 1, **BY)
    assert lease(database) is not None
    assert told(database) == ["study held", "study let go"]


def test_a_study_is_held_once_and_let_go_once(database: Database) -> None:
    job_over(database, 1)
    with database.begin() as session:
        by_hand.hold(session, 1, **BY)
        with pytest.raises(NotPossible):
            by_hand.hold(session, 1, **BY)
        by_hand.let_go(session, 1, **BY)
        with pytest.raises(NotPossible):
            by_hand.let_go(session, 1, **BY)


def test_a_job_that_waits_or_runs_is_discarded_and_what_its_worker_brings_is_dropped(database: Database) -> None:
    waiting = job_over(database, 1, 2)
    with database.begin() as session:
        assert jobs.discard(session, waiting, **BY) is JobState.WAITING
    assert lease(database) is None
    assert states(database) == {"NOT_PROCESSED": 2}
    with database.begin() as session:
        by_hand.run_again(session, 1, **BY)
    (series,) = close_all(database)
    insert_job(database, new_job("again", [1, 2], series=series))
    running = must_lease(database)
    with database.begin() as session:
        assert jobs.discard(session, running.job_id, **BY) is JobState.RUNNING
    with pytest.raises(LeaseLost):
        produce(database, running, result("1.9"))
    with database.begin() as session, pytest.raises(LeaseLost):
        jobs.heartbeat(session, running.job_id, running.token, NOW, MINUTE)
    with database.begin() as session, pytest.raises(LeaseLost):
        jobs.discard(session, running.job_id, **BY)


def test_a_repetition_that_is_discarded_leaves_the_earlier_answer_in_force(database: Database) -> None:
    job_over(database, 1)
    produce(database, must_lease(database), result("1.9"))
    with database.begin() as session:
        by_hand.run_again(session, 1, **BY)
    (series,) = close_all(database)
    again = insert_job(database, new_job("again", [1], series=series))
    assert again is not None
    with database.begin() as session:
        jobs.discard(session, again, **BY)
    assert job_state(database) == "PRODUCED"
    assert states(database) == {"PROCESSED": 1}


def test_what_is_run_again_is_judged_anew_and_its_answer_supersedes_the_earlier_one(database: Database) -> None:
    job_over(database, 1)
    produce(database, must_lease(database), result("1.9"))
    with database.begin() as session:
        assert by_hand.run_again(session, 1, **BY) == 1
        assert by_hand.repeats(session, 1) == 1
    assert (series_of(database).state, series_of(database).revision) == ("OPEN", 2)
    (series,) = close_all(database)
    assert insert_job(database, new_job("again", [1], series=series)) is not None
    produce(database, must_lease(database), result("1.10"))
    assert [job_state(database, number) for number in (1, 2)] == ["SUPERSEDED", "PRODUCED"]


def test_nothing_is_run_again_while_a_job_of_it_lives_or_when_its_images_are_gone(database: Database) -> None:
    job_over(database, 1)
    with database.begin() as session, pytest.raises(NotPossible, match="job 1 still waits or runs"):
        by_hand.run_again(session, 1, **BY)
    refuse(database, must_lease(database))
    with database.begin() as session:
        ledger.move(session, [1], ledger.InstanceState.EXPIRED, reason="retention", now=NOW)
    with database.begin() as session, pytest.raises(NotPossible, match="deleted"):
        by_hand.run_again(session, 1, **BY)
    assert (series_of(database).state, series_of(database).revision) == ("CLOSED", 1)


def test_nothing_is_run_again_of_a_study_that_is_not_decided(database: Database) -> None:
    receive(database, reception(1))
    with database.begin() as session, pytest.raises(NotPossible, match="none of its series is decided"):
        by_hand.run_again(session, 1, **BY)


def test_a_series_is_closed_as_it_is_and_its_jobs_say_what_was_missing(database: Database) -> None:
    hold_series(database, 1, 2)
    with database.begin() as session:
        by_hand.close_as_it_is(session, 1, 1, **BY)
    with database.read() as session:
        ordered = by_hand.as_it_is(session)[1]
    assert (ordered.revision, ordered.by) == (2, "anna")
    (series,) = close_all(database)
    job_id = insert_job(database, new_job("job", [1, 2], series=series))
    assert job_id is not None
    with database.begin() as session:
        by_hand.remark(session, job_id, [(1, series.revision)])
        (said,) = by_hand.remarks(session, job_id)
    assert said.startswith("Incomplete input: 2 slices are missing.")
    assert states(database) == {"IN_JOB": 2}


def test_a_late_image_asks_anew_whether_a_series_is_to_be_read_as_it_is(database: Database) -> None:
    hold_series(database, 1, 2)
    with database.begin() as session:
        by_hand.close_as_it_is(session, 1, 1, **BY)
    close_all(database)
    receive(database, reception(3))
    with database.read() as session:
        assert by_hand.as_it_is(session)[1].revision == 2
    assert series_of(database).revision == 3
    (series,) = close_all(database)
    job_id = insert_job(database, new_job("job", [1, 2, 3], series=series))
    assert job_id is not None
    with database.begin() as session:
        by_hand.remark(session, job_id, [(1, series.revision)])
        assert by_hand.remarks(session, job_id) == ()


def test_a_series_that_is_discarded_keeps_its_images_and_is_opened_by_a_late_one(database: Database) -> None:
    hold_series(database, 1, 2)
    with database.begin() as session:
        by_hand.discard_series(session, 1, 1, **BY)
    assert series_of(database).reason == "discarded by anna: the scanner was being repaired"
    assert states(database) == {"NOT_ROUTED": 2}
    receive(database, reception(3))
    assert series_of(database).state == "OPEN"


@pytest.mark.parametrize("order", [by_hand.close_as_it_is, by_hand.discard_series])
def test_only_a_series_that_is_held_is_decided_by_hand(database: Database, order: object) -> None:
    job_over(database, 1)
    with database.begin() as session, pytest.raises(NotPossible, match="of a series that is held"):
        order(session, 1, 1, **BY)  # type: ignore[operator]
    with database.begin() as session, pytest.raises(NotPossible, match="of a series that is held"):
        order(session, 2, 1, **BY)  # type: ignore[operator]


def test_a_job_by_hand_gets_a_revision_of_its_own(database: Database) -> None:
    job_over(database, 1)
    refuse(database, must_lease(database))
    with database.begin() as session:
        assert by_hand.next_revision(session, 1, 1) == (2, 1)
        assert by_hand.next_revision(session, 1, 1) == (3, 2)
        with pytest.raises(NotPossible):
            by_hand.next_revision(session, 2, 1)
    assert series_of(database).state == "CLOSED"


def test_what_was_confirmed_is_sent_again_by_hand_with_the_same_bytes(database: Database) -> None:
    job_over(database, 1)
    produce(database, must_lease(database), result("1.9"))
    first = must_lease_delivery(database)
    with database.begin() as session:
        outbox.sent(session, first, 0, NOW)
        outbox.confirmed(session, first, NOW, "C-FIND")
    with database.begin() as session:
        assert outbox.resend(session, [first.delivery_id], NOW, by="anna", lost=True) == [first.delivery_id]
        row = session.get_one(DeliveryRow, first.delivery_id)
        assert (row.confirmed_at, row.confirmed_how) == (None, None)
    assert must_lease_delivery(database).digest == first.digest
    assert told(database) == ["result sent again by hand"]


