"""Each ended job is in the figures of its day once, whatever happens in between; they stay when the job's images go."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select
from support import rows, watched
from support.rows import NOW

from radnode.config.loading import parse
from radnode.node.alarms import Alarms
from radnode.node.monitoring.figures import figures_of
from radnode.node.monitoring.observer import Observer
from radnode.node.monitoring.watch import DriftWatch
from radnode.storage import figures
from radnode.storage.figures import OUTCOME
from radnode.storage.monitoring_tables import UnobservedRow

if TYPE_CHECKING:
    from radnode.storage.database import Database


def one_ended(database: Database, number: int) -> None:
    """A job over an image of its own, produced."""
    job_id = rows.job_over(database, number, key=f"job {number}")
    job = rows.must_lease(database)
    assert job.job_id == job_id
    rows.produce(database, job, rows.named(f"SEG {number}"))


def counted(database: Database) -> int:
    with database.read() as session:
        return sum(each.summary.number for each in figures.of_pipeline(session, "ct-lung", "2000-01-01",
                                                                       figures=[OUTCOME]))


def observer(database: Database) -> Observer:
    return Observer(database, lambda: NOW, on_pairs=lambda: None)


def test_every_ended_job_is_entered_once_however_often_the_node_looks(database: Database) -> None:
    one_ended(database, 1)
    for _ in range(3):
        observer(database).step()
    one_ended(database, 2)
    observer(database).step()
    assert counted(database) == 2


def enter_and_die(database: Database) -> None:
    with database.begin() as session:
        figures.enter(session, [figures_of(each) for each in figures.unobserved(session, 10)], NOW)
        session.execute(select(UnobservedRow.job_id / (1 // 0)))


def test_a_node_that_dies_while_it_enters_has_entered_all_or_nothing(database: Database) -> None:
    one_ended(database, 1)
    with pytest.raises(ZeroDivisionError):
        enter_and_die(database)
    assert counted(database) == 0
    observer(database).step()
    assert counted(database) == 1
    with database.read() as session:
        assert session.scalars(select(UnobservedRow)).all() == []


def test_refusals_and_failures_are_counted_as_well(database: Database) -> None:
    for number, end in ((1, rows.refuse), (2, rows.fail)):
        rows.job_over(database, number, key=f"job {number}")
        end(database, rows.must_lease(database))
    observer(database).step()
    with database.read() as session:
        words = [dict(each.summary.words) for each in figures.of_pipeline(session, "ct-lung", "2000-01-01",
                                                                          figures=[OUTCOME])]
    assert words == [{"not processed": 1, "failed": 1}]


def test_old_days_are_forgotten_and_others_are_not(database: Database) -> None:
    watched.months(database, NOW, days=4, a_day=1)
    with database.begin() as session:
        figures.forget(session, (NOW - timedelta(days=2)).strftime("%Y-%m-%d"))
    with database.read() as session:
        days = {each.day for each in figures.of_pipeline(session, "ct-nodule", "2000-01-01")}
    assert sorted(days) == ["2026-02-27", "2026-02-28", "2026-03-01"]


def test_a_sender_that_names_itself_anew_each_time_does_not_fill_the_table(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "MOST_SCANNERS", 3)
    with database.begin() as session:
        for number in range(20):
            figures.scanner_id(session, figures.Scanner(source="CT1", station=f"S{number}"), NOW)
        assert len(figures.scanners(session, 100)) <= 5


def watch(database: Database, alarms: Alarms, text: str = "") -> DriftWatch:
    configuration = parse(f"node: {{data: /nowhere}}\n{text}", "test")
    return DriftWatch(database, lambda: configuration, alarms, lambda: NOW)


def test_a_changed_scanner_is_an_alarm_and_one_that_stays_is_none(database: Database) -> None:
    alarms = Alarms(lambda: NOW)
    watched.months(database, NOW)
    watch(database, alarms).step()
    assert [each.name for each in alarms.raised()] == []
    watched.months(database, NOW, moved_at=20, pipeline="ct-lung", seed=2)
    watch(database, alarms).step()
    (alarm,) = alarms.raised()
    assert alarm.name == "drift:ct-lung"
    assert "CT2" in alarm.text
    assert "CT1" not in alarm.text
    assert (NOW - timedelta(days=20)).strftime("%Y-%m-%d") in alarm.text


def test_a_pipeline_that_is_silenced_drifts_without_an_alarm_and_a_new_baseline_ends_a_drift(
    database: Database,
) -> None:
    alarms = Alarms(lambda: NOW)
    watched.months(database, NOW, moved_at=34)
    watch(database, alarms, "monitoring: {silence: [ct-nodule]}").step()
    assert alarms.raised() == []
    watch(database, alarms).step()
    assert [each.name for each in alarms.raised()] == ["drift:ct-nodule"]
    first, last = [(NOW - timedelta(days=ago)).strftime("%Y-%m-%d") for ago in (34, 18)]
    watch(database, alarms, f"monitoring: {{baselines: {{ct-nodule: {{from: {first}, to: {last}}}}}}}").step()
    with database.read() as session:
        drifted = [(row.scanner_id, row.figure) for row in figures.drifts(session) if row.state == "drifted"]
        there = figures.scanners(session)
    assert "CT2" not in {there[scanner].station for scanner, _ in drifted}


def test_a_second_look_on_one_day_counts_as_the_first(database: Database) -> None:
    watched.months(database, NOW)
    for _ in range(3):
        watch(database, Alarms(lambda: NOW)).look()
    with database.read() as session:
        assert {row.looks for row in figures.drifts(session)} == {1}
