"""Alarms as rows, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from support.rows import MINUTE, NOW, close_all, fail, job_over, must_lease, produce, receive, reception, result

from radnode.storage import alarms, catalog, leases, silences, symptoms
from radnode.storage.alarms import NewAlarm, Telling
from radnode.storage.catalog import SeriesState
from radnode.storage.silences import Silence

if TYPE_CHECKING:
    from radnode.storage.database import Database

DISK = NewAlarm(name="disk", severity="critical", text="1 GB free", since=NOW)
HOUR = timedelta(hours=1)


def enter(database: Database, alarm: NewAlarm = DISK) -> int:
    """Its id."""
    with database.begin() as session:
        alarms.enter(session, alarm, NOW)
    with database.read() as session:
        return alarms.standing(session)[-1].alarm_id


def test_a_silence_lasts_until_its_time_or_until_somebody_ends_it_and_the_last_word_counts(database: Database) -> None:
    first = Silence(until=NOW + HOUR, who="ann", reason="service")
    with database.begin() as session:
        silences.silence(session, "disk", first, NOW)
        silences.silence(session, "disk", replace(first, until=NOW + 2 * HOUR, who="bob"), NOW)
        silences.silence(session, "log", first, NOW)
    with database.read() as session:
        found = silences.silenced(session, NOW)
        assert {name: each.who for name, each in found.items()} == {"disk": "bob", "log": "ann"}
        assert list(silences.silenced(session, NOW + HOUR)) == ["disk"]
    with database.begin() as session:
        assert silences.end(session, "disk")
        assert not silences.end(session, "disk")
        assert list(silences.silenced(session, NOW)) == ["log"]


def test_what_was_cleared_is_listed_by_the_page_newest_first(database: Database) -> None:
    for number in range(3):
        enter(database, NewAlarm(name=f"jobs:{number}", severity="error", text="", since=NOW))
        with database.begin() as session:
            alarms.clear(session, f"jobs:{number}", NOW + number * HOUR)
    enter(database)
    with database.read() as session:
        first, more = alarms.cleared(session, 1, 2)
        second, none = alarms.cleared(session, 2, 2)
    assert ([each.name for each in (*first, *second)], more, none) == (["jobs:2", "jobs:1", "jobs:0"], True, False)


def test_an_alarm_stands_until_it_is_cleared_and_is_known_afterwards(database: Database) -> None:
    enter(database)
    with database.begin() as session:
        alarms.see(session, NewAlarm(name="disk", severity="critical", text="0 GB free", since=NOW + HOUR), NOW + HOUR)
    with database.read() as session:
        (standing,) = alarms.standing(session)
    assert (standing.text, standing.since, standing.last_seen_at) == ("0 GB free", NOW, NOW + HOUR)
    with database.begin() as session:
        alarms.clear(session, "disk", NOW + HOUR)
    with database.read() as session:
        assert alarms.standing(session) == []
        assert [each.cleared_at for each in alarms.known(session, NOW)] == [NOW + HOUR]
        assert alarms.known(session, NOW + 2 * HOUR) == []


def test_an_alarm_that_comes_back_at_once_is_the_same_one(database: Database) -> None:
    number = enter(database)
    with database.begin() as session:
        alarms.clear(session, "disk", NOW + MINUTE)
        assert not alarms.raise_again(session, "ledger", NOW)
        assert not alarms.raise_again(session, "disk", NOW + MINUTE), "it was cleared earlier"
        assert alarms.raise_again(session, "disk", NOW)
        assert [each.alarm_id for each in alarms.standing(session)] == [number]


def test_what_each_sink_was_told_last_is_known(database: Database) -> None:
    number = enter(database)
    with database.begin() as session:
        alarms.told(session, [(number, "raised")], "mail", NOW)
        alarms.told(session, [(number, "raised")], "webhook", NOW)
        alarms.told(session, [(number, "still")], "mail", NOW + HOUR)
    with database.read() as session:
        (standing,) = alarms.standing(session)
    assert standing.tellings == {
        "mail": Telling(event="still", told_at=NOW + HOUR), "webhook": Telling(event="raised", told_at=NOW)
    }


def test_what_was_cleared_long_ago_is_forgotten_with_what_was_told_of_it(database: Database) -> None:
    number = enter(database)
    with database.begin() as session:
        alarms.told(session, [(number, "raised")], "mail", NOW)
        alarms.clear(session, "disk", NOW)
        assert alarms.forget(session, NOW + HOUR, 2 * HOUR) == 0
        assert alarms.forget(session, NOW + 2 * HOUR + MINUTE, 2 * HOUR) == 1
        assert alarms.known(session, NOW) == []


def test_the_tables_tell_of_jobs_that_failed_and_of_what_waits(database: Database) -> None:
    job_over(database, 1, key="one")
    fail(database, must_lease(database), now=NOW + MINUTE)
    job_over(database, 2, key="two")
    produce(database, must_lease(database), result("1.9.1"))
    job_over(database, 3, key="three", now=NOW + HOUR)
    with database.read() as session:
        assert {name: some.number for name, some in symptoms.failed_jobs(session, NOW).items()} == {"ct-lung": 1}
        assert symptoms.failed_jobs(session, NOW + HOUR) == {}
        waiting = symptoms.waiting_deliveries(session)
        assert (waiting["PACS"].number, waiting["PACS"].since) == (1, NOW)
        assert symptoms.oldest_job(session) == NOW + HOUR


def test_a_job_without_its_result_when_it_was_wanted_is_late_until_it_has_it(database: Database) -> None:
    job_over(database, 1, key="wanted", within=HOUR)
    job_over(database, 2, key="never late")
    with database.read() as session:
        assert symptoms.late_jobs(session, NOW + HOUR) == {}
        late = symptoms.late_jobs(session, NOW + HOUR + MINUTE)
        assert {name: (some.number, some.since) for name, some in late.items()} == {"ct-lung": (1, NOW + HOUR)}
    lease = must_lease(database)
    with database.read() as session:
        assert symptoms.late_jobs(session, NOW + 2 * HOUR).keys() == {"ct-lung"}, "while it runs, too"
    produce(database, lease, result("1.9.1"))
    with database.read() as session:
        assert symptoms.late_jobs(session, NOW + 2 * HOUR) == {}


def test_the_tables_tell_of_headers_that_wait_or_cannot_be_read_and_when_a_source_was_heard(database: Database) -> None:
    (first,) = receive(database, reception(1))
    receive(database, reception(2, at=NOW + MINUTE))
    with database.begin() as session:
        assert symptoms.oldest_unread_header(session) == NOW
        catalog.reject_header(session, first.instance_id, "broken", NOW)
        assert symptoms.oldest_unread_header(session) == NOW + MINUTE
        assert symptoms.unreadable_instances(session, NOW)["PACS"].number == 1
        assert symptoms.unreadable_instances(session, NOW + HOUR) == {}
        assert symptoms.heard(session, ["PACS", "CT2"]) == {"PACS": NOW + MINUTE}


def test_an_image_that_comes_again_is_a_sign_of_life(database: Database) -> None:
    receive(database, reception(1))
    receive(database, reception(1, at=NOW + HOUR))
    with database.read() as session:
        assert symptoms.heard(session, ["PACS"]) == {"PACS": NOW + HOUR}


def test_held_series_are_counted_by_source_with_their_study(database: Database) -> None:
    receive(database, reception(1, series=1), reception(2, series=2), reception(3, series=3))
    with database.begin() as session:
        one, two, _ = catalog.open_series(session)
        assert catalog.hold_series(session, one, reason="a slice is missing", grounds=[], now=NOW)
        assert catalog.hold_series(session, two, reason="two are missing", grounds=[], now=NOW + MINUTE)
    close_all(database)
    with database.read() as session:
        (held,) = symptoms.undecided_series(session, SeriesState.HELD, NOW).values()
        assert (held.number, held.since, held.study_instance_uid) == (2, NOW, "1.2.5.1")
        assert held.reason == "two are missing"
        assert symptoms.undecided_series(session, SeriesState.CONFLICT, NOW) == {}
        assert symptoms.undecided_series(session, SeriesState.HELD, NOW + HOUR) == {}


def test_a_lease_is_held_until_its_end(database: Database) -> None:
    with database.begin() as session:
        assert not leases.held(session, "node", NOW)
        leases.acquire(session, "node", "me", NOW, MINUTE)
        assert leases.held(session, "node", NOW)
        assert not leases.held(session, "node", NOW + MINUTE)
