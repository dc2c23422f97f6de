from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select
from support.rows import (
    LEASE,
    MINUTE,
    NOW,
    PIPELINES,
    close_all,
    fail,
    insert_job,
    job_over,
    lease,
    lease_delivery,
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

from radnode.storage import jobs
from radnode.storage.jobs import JobState, LeaseLost
from radnode.storage.tables import DeliveryRow, EventRow, JobRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from radnode.storage.database import Database
    from radnode.storage.jobs import LeasedJob

END = pytest.mark.parametrize("end", [produce, refuse, fail], ids=["produced", "not processed", "failed"])


def _job_states(database: Database) -> dict[str, str]:
    with database.read() as session:
        return dict(session.execute(select(JobRow.key, JobRow.state)).all())


def _reap(database: Database, now: object) -> list[int]:
    with database.begin() as session:
        return jobs.reap(session, now)  # type: ignore[arg-type]


def _revision(database: Database, key: str, *numbers: int, **changed: object) -> int:
    """Receive one more image and insert the job of the next revision over all of them."""
    recorded = receive(database, *(reception(number) for number in numbers))
    (series,) = close_all(database)
    job_id = insert_job(database, new_job(key, [each.instance_id for each in recorded], series=series, **changed))
    assert job_id is not None
    return job_id


def test_a_job_takes_its_instances_and_gives_them_back_processed(database: Database) -> None:
    job_over(database, 1, 2)
    assert states(database) == {"IN_JOB": 2}
    job = must_lease(database)
    assert [each.sop_instance_uid for each in job.inputs] == ["1.2.3.1", "1.2.3.2"]
    assert (job.token, job.attempts, job.revision, job.destinations) == (1, 1, 1, ("PACS",))
    produce(database, job)
    assert states(database) == {"PROCESSED": 2}


@pytest.mark.catalogue("S3", "U10")
def test_a_key_has_one_job_however_often_it_is_inserted(database: Database) -> None:
    recorded = receive(database, reception())
    (series,) = close_all(database)
    job = new_job("key", [recorded[0].instance_id], series=series)
    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(lambda _: insert_job(database, job), range(4)))
    assert sorted(each is None for each in ids) == [False, True, True, True]


@END
@pytest.mark.catalogue("K10")
def test_a_worker_whose_lease_ended_changes_nothing(
    database: Database, end: Callable[[Database, LeasedJob], None]
) -> None:
    job_over(database, 1)
    stale = must_lease(database)
    _reap(database, NOW + LEASE * 2)
    current = must_lease(database, NOW + LEASE * 2, "w2")
    assert current.token == stale.token + 1
    with pytest.raises(LeaseLost):
        end(database, stale)
    assert _job_states(database) == {"job": "RUNNING"}
    assert states(database) == {"IN_JOB": 1}
    end(database, current)
    with pytest.raises(LeaseLost):
        end(database, current)


def test_a_heartbeat_prolongs_the_lease_and_a_stale_one_is_told_so(database: Database) -> None:
    job_over(database, 1)
    job = must_lease(database)
    with database.begin() as session:
        jobs.heartbeat(session, job.job_id, job.token, NOW + LEASE, LEASE)
    assert _reap(database, NOW + LEASE) == []
    assert _reap(database, NOW + LEASE * 2 + timedelta(seconds=1)) == [job.job_id]
    with pytest.raises(LeaseLost), database.begin() as session:
        jobs.heartbeat(session, job.job_id, job.token, NOW + LEASE, LEASE)


@pytest.mark.catalogue("P15", "X7", "X8")
def test_two_crashes_on_the_same_inputs_are_the_end(database: Database) -> None:
    job_over(database, 1)
    must_lease(database)
    assert _reap(database, NOW + LEASE * 2) != []
    assert _job_states(database) == {"job": "WAITING"}
    job = must_lease(database, NOW)
    with database.begin() as session:
        assert jobs.crashed(session, job.job_id, job.token, "signal 11", NOW) is JobState.FAILED
    assert lease(database) is None
    assert states(database) == {"FAILED": 1}
    with database.read() as session:
        assert "2 workers were lost" in str(session.scalar(select(JobRow.reason)))


def test_a_machine_that_is_lost_under_a_job_is_no_fault_of_it_unless_it_happens_every_time(database: Database) -> None:
    job_over(database, 1)
    for _ in range(jobs.MOST_ATTEMPTS):
        job = must_lease(database)
        with database.begin() as session:
            jobs.crashed(session, job.job_id, job.token, "the machine is gone", NOW, blameless=True)
        assert _job_states(database) == {"job": "WAITING"}
    job = must_lease(database)
    with database.begin() as session:
        assert jobs.crashed(session, job.job_id, job.token, "gone", NOW, blameless=True) is JobState.FAILED


def test_jobs_of_an_earlier_process_wait_again_and_count_no_crash(database: Database) -> None:
    job_over(database, 1)
    must_lease(database, worker="old:0")
    with database.begin() as session:
        assert jobs.give_back(session, NOW, "new") != []
    with database.begin() as session:
        assert jobs.give_back(session, NOW, "new") == []
    with database.read() as session:
        assert session.execute(select(JobRow.state, JobRow.crashes)).one() == ("WAITING", 0)


def test_jobs_of_this_process_are_not_given_back(database: Database) -> None:
    job_over(database, 1)
    must_lease(database, worker="new:0")
    with database.begin() as session:
        assert jobs.give_back(session, NOW, "new") == []


@pytest.mark.catalogue("S7")
def test_urgent_comes_before_routine_before_low_and_waiting_counts(database: Database) -> None:
    (recorded,) = receive(database, reception())
    (series,) = close_all(database)
    for key, priority, waited in (("low", 20, 5), ("routine", 10, 0), ("urgent", 0, 0), ("old low", 20, 21)):
        job = new_job(key, [recorded.instance_id], series=series, priority=priority)
        insert_job(database, job, NOW - waited * MINUTE)
    assert [must_lease(database).key for _ in range(4)] == ["old low", "urgent", "routine", "low"]


def test_a_job_that_is_wanted_soon_has_its_turn_by_then_and_one_wanted_late_not_later_than_its_priority_gives(
    database: Database,
) -> None:
    (recorded,) = receive(database, reception())
    (series,) = close_all(database)
    for key, priority, within in (("low", 20, None), ("soon", 20, 5), ("sooner", 10, 3), ("late", 10, 60),
                                  ("urgent", 0, 1)):
        wanted = None if within is None else within * MINUTE
        insert_job(database, new_job(key, [recorded.instance_id], series=series, priority=priority, within=wanted))
    assert [must_lease(database).key for _ in range(5)] == ["urgent", "sooner", "soon", "late", "low"]


def test_what_waits_is_not_overtaken_for_ever(database: Database) -> None:
    (recorded,) = receive(database, reception())
    (series,) = close_all(database)
    insert_job(database, new_job("low", [recorded.instance_id], series=series, priority=20))
    later = NOW + 21 * MINUTE
    with database.begin() as session:
        for number in range(250):
            urgent = new_job(f"urgent {number}", [recorded.instance_id], series=series, priority=0)
            jobs.insert_job(session, urgent, later)
    assert must_lease(database, later).key == "low"


def test_a_worker_is_given_only_pipelines_it_has(database: Database) -> None:
    job_over(database, 1, pipeline="withdrawn")
    assert lease(database) is None
    with database.begin() as session:
        assert jobs.lease_next(session, "w", NOW, LEASE, ["withdrawn"]) is not None


def test_workers_that_ask_at_once_never_get_the_same_job(database: Database) -> None:
    (recorded,) = receive(database, reception())
    (series,) = close_all(database)
    for number in range(12):
        insert_job(database, new_job(f"job {number}", [recorded.instance_id], series=series))
    with ThreadPoolExecutor(6) as pool:
        keys = [job.key for job in pool.map(lambda _: must_lease(database), range(12))]
    assert len(set(keys)) == 12


@pytest.mark.parametrize(
    ("first", "second", "shown"),
    [(produce, produce, "PROCESSED"), (produce, refuse, "NOT_PROCESSED"), (refuse, fail, "FAILED"),
     (fail, produce, "FAILED")],
    ids=["both produced", "one refused", "one failed", "the first failed"],
)  # fmt: skip
def test_of_two_pipelines_the_worst_answer_is_shown_once_both_ended(
    database: Database,
    first: Callable[[Database, LeasedJob], None],
    second: Callable[[Database, LeasedJob], None],
    shown: str,
) -> None:
    (recorded,) = receive(database, reception())
    (series,) = close_all(database)
    for pipeline in PIPELINES:
        insert_job(database, new_job(pipeline, [recorded.instance_id], series=series, pipeline=pipeline))
    one, other = must_lease(database), must_lease(database)
    first(database, one)
    assert states(database) == {"IN_JOB": 1}
    second(database, other)
    assert states(database) == {shown: 1}


def test_jobs_that_end_at_once_leave_no_instance_behind(database: Database) -> None:
    for turn in range(8):
        recorded = receive(database, reception(turn, series=turn))
        (series,) = close_all(database)
        ids = [each.instance_id for each in recorded]
        for pipeline in PIPELINES:
            insert_job(database, new_job(f"{pipeline} {turn}", ids, series=series, pipeline=pipeline))
        leased = [must_lease(database), must_lease(database)]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda job: produce(database, job), leased))
    assert states(database) == {"PROCESSED": 8}


def test_images_of_an_ended_job_go_into_the_job_of_the_next_revision(database: Database) -> None:
    job_over(database, 1, key="first")
    produce(database, must_lease(database))
    _revision(database, "second", 1, 2)
    assert states(database) == {"IN_JOB": 2}
    refuse(database, must_lease(database))
    assert states(database) == {"NOT_PROCESSED": 2}


def test_images_stay_in_the_job_of_the_next_revision_when_the_earlier_one_ends(database: Database) -> None:
    job_over(database, 1, key="first")
    early = must_lease(database)
    _revision(database, "second", 1, 2)
    produce(database, early)
    assert states(database) == {"IN_JOB": 2}
    fail(database, must_lease(database))
    assert states(database) == {"FAILED": 2}


@pytest.mark.catalogue("S1", "R13")
def test_a_later_answer_supersedes_the_earlier_and_withdraws_what_was_not_sent(database: Database) -> None:
    job_over(database, 1, key="first")
    produce(database, must_lease(database), result("1.1"))
    _revision(database, "second", 1, 2)
    produce(database, must_lease(database), result("2.1"))
    assert _job_states(database) == {"first": "SUPERSEDED", "second": "PRODUCED"}
    assert must_lease_delivery(database).sop_instance_uid == "2.1"
    assert lease_delivery(database) is None
    with database.read() as session:
        assert sorted(session.scalars(select(DeliveryRow.state))) == ["SENDING", "WITHDRAWN"]


def test_an_earlier_revision_that_ends_last_is_superseded_at_once(database: Database) -> None:
    job_over(database, 1, key="first")
    early = must_lease(database)
    _revision(database, "second", 1, 2)
    produce(database, must_lease(database), result("2.1"))
    produce(database, early, result("1.1"))
    assert _job_states(database) == {"first": "SUPERSEDED", "second": "PRODUCED"}
    assert must_lease_delivery(database).sop_instance_uid == "2.1"
    assert lease_delivery(database) is None
    assert states(database) == {"PROCESSED": 2}


@pytest.mark.catalogue("S1")
def test_revisions_that_end_at_once_leave_one_answer(database: Database) -> None:
    job_over(database, 1, key="first")
    early = must_lease(database)
    _revision(database, "second", 1, 2)
    late = must_lease(database)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda each: produce(database, each[0], result(each[1])), [(early, "1.1"), (late, "2.1")]))
    assert _job_states(database) == {"first": "SUPERSEDED", "second": "PRODUCED"}
    assert must_lease_delivery(database).sop_instance_uid == "2.1"


def test_a_waiting_job_of_an_earlier_revision_never_runs_after_the_later_answer(database: Database) -> None:
    job_over(database, 1, key="first", priority=20)
    _revision(database, "second", 1, 2, priority=0)
    job = must_lease(database)
    assert job.key == "second"
    produce(database, job)
    assert lease(database) is None
    assert states(database) == {"PROCESSED": 2}


def test_a_later_revision_that_fails_leaves_the_earlier_answer(database: Database) -> None:
    job_over(database, 1, key="first")
    produce(database, must_lease(database), result("1.1"))
    _revision(database, "second", 1, 2)
    fail(database, must_lease(database))
    assert _job_states(database) == {"first": "PRODUCED", "second": "FAILED"}
    assert must_lease_delivery(database).sop_instance_uid == "1.1"


def test_another_pipeline_supersedes_nothing(database: Database) -> None:
    job_over(database, 1, key="first")
    produce(database, must_lease(database), result("1.1"))
    _revision(database, "second", 1, 2, pipeline="mg-cad")
    produce(database, must_lease(database))
    assert _job_states(database) == {"first": "PRODUCED", "second": "PRODUCED"}


def test_a_result_goes_only_where_its_form_is_shown(database: Database) -> None:
    job_over(database, 1, destinations=["PACS", "VIEWER", "GONE"])
    job = must_lease(database)
    with database.begin() as session:
        jobs.produced(
            session, job.job_id, job.token, objects=[result("1.1"), result("1.2", 1)],
            destinations={"PACS": ["SEG", "TID1500"], "VIEWER": ["TID1500"], "GONE": []}, report={}, now=NOW,
        )  # fmt: skip
    with database.read() as session:
        queued = session.execute(select(DeliveryRow.destination, DeliveryRow.send_order).order_by(DeliveryRow.id))
        assert queued.all() == [("PACS", 0), ("PACS", 1), ("VIEWER", 1)]


def test_results_and_their_deliveries_are_written_together_or_not_at_all(database: Database) -> None:
    job_over(database, 1)
    job = must_lease(database)
    with pytest.raises(Exception, match=r"(?i)unique"):
        produce(database, job, result("1.1"), result("1.1", 1))
    assert _job_states(database) == {"job": "RUNNING"}
    assert lease_delivery(database) is None


def test_the_timeline_tells_what_happened_to_a_job(database: Database) -> None:
    job_over(database, 1)
    refuse(database, must_lease(database), "no lung")
    with database.read() as session:
        kinds = list(session.scalars(select(EventRow.kind).where(EventRow.job_id.is_not(None)).order_by(EventRow.id)))
    assert kinds == ["job inserted", "job leased", "job not processed"]
