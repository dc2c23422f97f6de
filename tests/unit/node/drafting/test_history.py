"""A draft on the past says which series it would match, why not the others, and what would run otherwise."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from support.rows import NOW, job_over, must_lease, produce, receive, reception

from radnode.config.loading import parse
from radnode.node.drafting import history
from radnode.storage import catalog, route_history
from radnode.storage.configuration_tables import RouteMatchRow
from radnode.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAST: list[dict[str, Any]] = [
    {"Modality": "CT", "SliceThickness": 1.0}, {"Modality": "CT", "SliceThickness": 5.0}, {"Modality": "MR"},
    {"Modality": "CT"}, {"Modality": "CT", "SliceThickness": 1.0, "Manufacturer": "radnode"},
]
THIN = "name: thin, when: {modality: CT, slice_thickness: {at_most: 2}}, run: [ct-lung], send: [PACS]"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Five series of one image each on two days; the last is a result of our own."""
    made = Database(f"sqlite:///{tmp_path / 'radnode.db'}")
    made.upgrade()
    recorded = receive(made, *(
        reception(n, series=n, study=n, at=NOW - timedelta(days=1 if n == 1 else 0)) for n in range(1, len(PAST) + 1)))
    with made.begin() as session:
        catalog.store_headers(
            session, [(each.instance_id, header) for each, header in zip(recorded, PAST, strict=True)])
    yield made
    made.close()


def route(text: str) -> Any:
    return parse(f"routes: [{{{text}}}]", "draft").routes[0]


def past(database: Database, days: int = 7, most: int = 100) -> history.Past:
    with database.read() as session:
        return history.past(session, NOW + timedelta(minutes=1), days, most)


def test_the_past_is_parted_into_what_matches_what_does_not_and_what_nobody_can_tell(database: Database) -> None:
    trial = history.tried(route(THIN), past(database))
    assert [each.series_id for each in trial.matches] == [1]
    assert [each.series_id for each in trial.fails] == [3, 2]
    assert [each.series_id for each in trial.unknown] == [4]
    assert trial.because == (("modality is CT", 1), ("slice_thickness at most 2", 1))
    assert trial.lacking == (("slice_thickness at most 2", 1),)


def test_a_route_that_is_switched_off_is_tried_all_the_same(database: Database) -> None:
    assert len(history.tried(route(f"{THIN}, enabled: false"), past(database)).matches) == 1


def test_only_the_newest_are_tried_and_only_of_the_days_asked_for(database: Database) -> None:
    bounded = past(database, most=2)
    assert ([each.series_id for each in bounded.series], bounded.more) == ([4], True)
    assert [each.series_id for each in past(database, days=1).series] == [4, 3, 2]
    assert past(database).more is False


def test_a_replay_says_what_would_run_otherwise_and_what_that_costs_a_day(database: Database) -> None:
    before, after = [route(THIN)], [route(THIN.replace("at_most: 2", "at_most: 9")),
                                    route("name: head, when: {modality: MR}, run: [mr-brain], send: [PACS]")]
    lung, brain = history.changes(before, after, past(database), {"ct-lung": 60.0})
    assert (lung.pipeline, [each.series_id for each in lung.begins], lung.ends) == ("ct-lung", [2], ())
    assert (lung.jobs_a_day, lung.minutes_a_day) == pytest.approx((1 / 7, 1 / 7))
    assert (brain.pipeline, brain.minutes_a_day) == ("mr-brain", None)
    gone, = history.changes(before, [], past(database), {"ct-lung": 60.0})
    assert ([each.series_id for each in gone.ends], gone.jobs_a_day) == ([1], pytest.approx(-1 / 7))
    assert history.changes(before, before, past(database), {}) == []


def test_what_a_route_matched_is_counted_by_series_and_study(database: Database) -> None:
    with database.begin() as session:
        session.add_all(RouteMatchRow(route="thin", series_id=n, at=NOW - timedelta(days=5 * n)) for n in (1, 2))
    with database.read() as session:
        found = route_history.matches(session, ["thin", "never"], NOW - timedelta(days=7))
    assert (found["thin"].series, found["thin"].studies, found["thin"].last) == (1, 1, NOW - timedelta(days=5))
    assert found["never"] == route_history.Matches()


def test_a_job_takes_what_the_last_ones_took_in_the_middle(database: Database) -> None:
    for number, seconds in enumerate((10, 30, 20)):
        at = NOW + timedelta(hours=number)
        job_over(database, 10 + number, key=str(number), now=at, revision=number + 1)
        produce(database, must_lease(database, at), now=at + timedelta(seconds=seconds))
    with database.read() as session:
        assert route_history.median_seconds(session, "ct-lung") == 20
        assert route_history.median_seconds(session, "mg-cad") is None
