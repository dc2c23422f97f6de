"""Studies that are fetched, and the priors of jobs, as rows of either database."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select, update
from support.rows import MINUTE, NOW, close_all, job_over, lease, must_lease, produce, receive, reception

from radnode.storage import fetches, priors, retention
from radnode.storage.fetch_tables import FetchRow, FetchState
from radnode.storage.fetches import PRIOR, Ended, Fetch, Wish
from radnode.storage.files import FileStore
from radnode.storage.priors import Patient, Wanted
from radnode.storage.tables import InstanceRow, SeriesRow

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from radnode.storage.database import Database

STUDY = "1.2.5.1"
WANTED = Wanted(study_instance_uid="1.2.5.9", study_date=date(2026, 1, 2), modality="CT", body_part="", studies=1,
                patient=Patient(patient_id="P1", issuer="", birth_date=""), days=700, wait_s=600)


def want(database: Database, study: str = STUDY, *, again: bool = False, at: datetime = NOW, **more: Any) -> Any:
    wish = Wish(**{"archive": "A", "study_instance_uid": study, "wanted_by": "a test", **more})
    with database.begin() as session:
        return fetches.want(session, wish, at, again=again)


def next_fetch(database: Database, *, pulls: tuple[str, ...] = (), most: int = 1) -> Fetch | None:
    with database.begin() as session:
        return fetches.lease(session, NOW, {"A": most}, pulls)


def end(database: Database, fetch_id: int, state: FetchState, at: datetime = NOW) -> None:
    with database.begin() as session:
        fetches.end(session, fetch_id, Ended(state=state), at)


def is_prior(database: Database, study_id: int = 1) -> bool:
    with database.read() as session:
        return fetches.is_prior(session, study_id)


def test_a_study_is_wanted_once_of_an_archive_and_again_when_it_has_grown(database: Database) -> None:
    number, new = want(database, listed=5)
    assert new
    assert want(database, listed=5) == (number, True)  # still to be done
    end(database, number, FetchState.COMPLETE)
    assert want(database, listed=5) == (number, False)
    assert want(database, listed=6) == (number, True)
    end(database, number, FetchState.COMPLETE)
    assert want(database, listed=6, again=True) == (number, True)
    assert want(database, listed=6, archive="B")[0] != number


def test_no_more_are_fetched_at_a_time_than_an_archive_allows_and_priors_go_first(database: Database) -> None:
    for study in ("1.1", "1.2"):
        want(database, study)
    want(database, "1.3", purpose=PRIOR)
    first = next_fetch(database)
    assert first is not None
    assert first.study_instance_uid == "1.3"
    assert next_fetch(database) is None
    second = next_fetch(database, most=2)
    assert second is not None
    assert second.study_instance_uid == "1.1"


def test_what_a_pull_wants_waits_for_its_hours_and_what_is_asked_by_hand_does_not(database: Database) -> None:
    want(database, pull="nights")
    assert next_fetch(database) is None
    want(database, pull=None, again=True)
    assert next_fetch(database) is not None


def test_a_study_that_was_here_before_it_was_asked_for_is_no_prior(database: Database) -> None:
    receive(database, reception(1, at=NOW))
    want(database, purpose=PRIOR, at=NOW + MINUTE)
    assert not is_prior(database)


def test_a_prior_that_somebody_sends_afterwards_becomes_a_study_and_is_judged_again(database: Database) -> None:
    number, _ = want(database, purpose=PRIOR)
    receive(database, reception(1, at=NOW + MINUTE))
    close_all(database)
    assert is_prior(database)
    end(database, number, FetchState.COMPLETE, NOW + 2 * MINUTE)
    with database.begin() as session:
        assert fetches.sent_by_others(session) == []
    receive(database, reception(1, at=NOW + 3 * MINUTE))
    with database.begin() as session:
        assert fetches.sent_by_others(session) == [number]
        fetches.promote(session, number, NOW + 3 * MINUTE)
    assert not is_prior(database)
    with database.read() as session:
        assert session.execute(select(SeriesRow.state, SeriesRow.revision)).one() == ("OPEN", 2)
        assert fetches.sent_by_others(session) == []


def test_open_series_are_told_what_the_archive_listed_where_nobody_else_counted(database: Database) -> None:
    number, _ = want(database)
    receive(database, reception(1))
    with database.begin() as session:
        fetches.expect(session, number, {"1.2.4.1": 7})
        assert fetches.note_expected(session, NOW) == 1
        assert fetches.note_expected(session, NOW) == 0
        assert session.scalar(select(SeriesRow.queried_count)) == 7


def test_what_failed_lately_is_told_by_archive(database: Database) -> None:
    number, _ = want(database)
    end(database, number, FetchState.GIVEN_UP)
    with database.read() as session:
        assert fetches.failed(session, NOW) == {"A": ["given up: "]}
        assert fetches.failed(session, NOW + MINUTE) == {}
        assert [each["state"] for each in fetches.shown(session)] == ["GIVEN_UP"]


def ask(database: Database, job_id: int) -> None:
    with database.begin() as session:
        priors.ask(session, job_id, "A", WANTED, NOW)


def settle(database: Database, job_id: int, *instances: int) -> bool:
    with database.begin() as session:
        return priors.settle(session, job_id, instances, ["said"], NOW)


def test_a_job_waits_for_its_priors_and_no_longer_than_it_may(database: Database) -> None:
    job_id = job_over(database, 1)
    ask(database, job_id)
    assert lease(database, NOW) is None
    assert lease(database, NOW + timedelta(seconds=599)) is None
    assert must_lease(database, NOW + timedelta(seconds=601)).job_id == job_id
    with database.begin() as session:
        assert priors.given(session, job_id, NOW) == ([], [priors.LATE])
    assert not settle(database, job_id, 1)


def test_the_priors_of_a_job_are_frozen_once_and_are_not_its_input(database: Database) -> None:
    job_id = job_over(database, 1)
    ask(database, job_id)
    (prior,) = receive(database, reception(2, series=2, study=2))
    assert settle(database, job_id, prior.instance_id)
    assert not settle(database, job_id)
    job = must_lease(database)
    assert [each.sop_instance_uid for each in job.inputs] == ["1.2.3.1"]
    with database.begin() as session:
        found, remarks = priors.given(session, job_id, NOW)
    assert ([(each.study_instance_uid, each.sop_instance_uid) for each in found], remarks) == (
        [("1.2.5.2", "1.2.3.2")], ["said"])


def test_priors_are_not_deleted_before_their_job_has_ended(database: Database, tmp_path: Path) -> None:
    store = FileStore(tmp_path / "data", 0)
    job_id = job_over(database, 1)
    ask(database, job_id)
    (prior,) = receive(database, reception(2, series=2, study=2))
    settle(database, job_id, prior.instance_id)
    with database.begin() as session:
        session.execute(update(SeriesRow).values(state="CLOSED"))
        session.execute(update(InstanceRow).where(InstanceRow.id == prior.instance_id).values(state="NOT_ROUTED"))
    later = NOW + timedelta(days=30)
    assert retention.expire(database, store, later, later, 100) == 0
    produce(database, must_lease(database))
    assert retention.expire(database, store, later, later, 100) == 2


@pytest.mark.parametrize("state", [FetchState.COMPLETE, FetchState.GIVEN_UP, FetchState.REFUSED])
def test_what_has_ended_stays_ended_over_a_restart_and_what_runs_is_due(database: Database, state: FetchState) -> None:
    ended, _ = want(database, "1.1")
    end(database, ended, state)
    running, _ = want(database, "1.2")
    assert next_fetch(database) is not None
    with database.begin() as session:
        fetches.give_back(session)
        found = dict(session.execute(select(FetchRow.id, FetchRow.state)).all())
    assert found == {ended: state, running: "WAITING"}


def test_what_did_not_come_is_listed_by_archive_and_by_pull_and_asked_for_again_at_any_hour(database: Database) -> None:
    def failed(archive: str | None = None, pull: str | None = None) -> list[int]:
        with database.read() as session:
            return [each["fetch"] for each in fetches.newest_failed(session, archive=archive, pull=pull, limit=9)]

    def again(number: int) -> bool:
        with database.begin() as session:
            return fetches.ask_again(session, number, NOW)

    given_up, _ = want(database, pull="night")
    other, _ = want(database, STUDY + ".2", archive="B")
    prior, _ = want(database, STUDY + ".3", purpose=PRIOR)
    came, _ = want(database, STUDY + ".4", pull="night")
    for number, state in ((given_up, FetchState.GIVEN_UP), (other, FetchState.INCOMPLETE),
                          (prior, FetchState.GIVEN_UP), (came, FetchState.COMPLETE)):
        end(database, number, state)

    assert (failed(archive="A"), failed(archive="B"), failed(pull="night")) == ([given_up], [other], [given_up])
    assert next_fetch(database) is None
    assert again(given_up)
    assert not again(given_up)  # it waits already
    assert not again(prior)
    assert not again(came)
    fetch = next_fetch(database)
    assert fetch is not None
    assert (fetch.fetch_id, fetch.attempts) == (given_up, 1)
