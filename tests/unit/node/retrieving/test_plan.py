"""What is asked for, when, and how an attempt ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from radnode.config.pulls import Pull
from radnode.node.retrieving import plan
from radnode.storage.fetch_tables import FetchState
from radnode.storage.fetches import PRIOR, STUDY, Fetch

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)  # a Wednesday
LISTED = {f"1.{number}": "9" for number in range(500)}


def pull(**said: Any) -> Pull:
    return Pull.model_validate({"name": "a", "from": "A", "schedule": "*/15 * * * *", "window": "2 d", **said})


def fetch(*, attempts: int = 1, purpose: str = STUDY, wanted_at: datetime = NOW) -> Fetch:
    return Fetch(fetch_id=1, archive="A", study_instance_uid="1.2", purpose=purpose, pull=None, patient_id=None,
                 issuer=None, modalities=(), state=FetchState.RUNNING, reason="", attempts=attempts,
                 wanted_at=wanted_at)


def test_a_series_of_which_nothing_is_here_is_asked_for_as_a_whole() -> None:
    (request,) = plan.requests("1", "1.2", LISTED, set(), None)
    assert request.whole
    assert request.instances == LISTED


def test_what_is_here_is_not_asked_for_again() -> None:
    held = set(list(LISTED)[:250])
    asked = list(plan.requests("1", "1.2", LISTED, held, None))
    assert [len(each.instances) for each in asked] == [200, 50]
    assert not any(each.whole or held & each.instances.keys() for each in asked)
    assert list(plan.requests("1", "1.2", LISTED, set(LISTED), None)) == []


def test_with_a_limit_a_request_is_of_ten_seconds() -> None:
    sizes = {len(each.instances) for each in plan.requests("1", "1.2", LISTED, set(), 60)}
    assert sizes == {10}
    assert {len(each.instances) for each in plan.requests("1", "1.2", LISTED, set(), 1)} == {1}


def test_a_request_that_failed_is_split_and_one_for_a_single_image_is_not() -> None:
    (whole,) = plan.requests("1", "1.2", {"1.1": "9", "1.2": "9", "1.3": "9"}, set(), None)
    singles = list(plan.singles(whole, {"1.2"}))
    assert [list(each.instances) for each in singles] == [["1.1"], ["1.3"]]
    assert list(plan.singles(singles[0], set())) == []


def test_only_what_is_here_in_full_is_complete_whatever_the_archive_says() -> None:
    assert plan.lacking({"1": ["a", "b"], "2": ["c"]}, {"1": {"a", "x", "y"}}) == 2
    assert plan.ended(fetch(), "", listed=3, missing=0, now=NOW).state is FetchState.COMPLETE
    partly = plan.ended(fetch(), "", listed=3, missing=2, now=NOW)
    assert (partly.state, partly.arrived, partly.lacking) == (FetchState.INCOMPLETE, 1, 2)
    assert plan.ended(fetch(), "no answer", listed=0, missing=0, now=NOW).state is FetchState.INCOMPLETE


def test_it_is_tried_again_after_a_time_that_doubles_up_to_an_hour_for_two_days_a_prior_for_an_hour() -> None:
    def wait(attempts: int) -> timedelta:
        due = plan.ended(fetch(attempts=attempts), "no", listed=1, missing=1, now=NOW).due_at
        assert due is not None
        return due - NOW

    assert [wait(number).total_seconds() for number in (1, 2, 3, 9, 99)] == [30, 60, 120, 3600, 3600]
    late = fetch(attempts=9, wanted_at=NOW - timedelta(hours=47, minutes=30))
    assert plan.ended(late, "no", listed=1, missing=1, now=NOW).state is FetchState.GIVEN_UP
    prior = fetch(attempts=5, purpose=PRIOR, wanted_at=NOW - timedelta(minutes=55))
    assert plan.ended(prior, "no", listed=1, missing=1, now=NOW).state is FetchState.GIVEN_UP


def test_a_pull_asks_when_it_is_new_at_its_times_and_sooner_without_an_answer() -> None:
    assert plan.is_due(pull(), None, 0, NOW)
    assert not plan.is_due(pull(), NOW - timedelta(minutes=0), 0, NOW)
    assert not plan.is_due(pull(), NOW, 0, NOW + timedelta(minutes=14))
    assert plan.is_due(pull(), NOW, 0, NOW + timedelta(minutes=15))
    nightly = pull(schedule="0 20 * * *")
    assert not plan.is_due(nightly, NOW, 0, NOW + timedelta(hours=2))
    assert plan.is_due(nightly, NOW, 1, NOW + timedelta(hours=2))
    assert not plan.is_due(pull(enabled=False), None, 0, NOW)


def test_a_pull_that_missed_its_times_asks_once() -> None:
    asked = NOW - timedelta(days=3)
    assert plan.is_due(pull(), asked, 0, NOW)
    assert not plan.is_due(pull(), NOW, 0, NOW + timedelta(seconds=1))


def test_a_schedule_is_in_the_time_of_the_hospital() -> None:
    zone = ZoneInfo("Europe/Zurich")
    at_eight = pull(schedule="0 8 * * *")
    asked = datetime(2026, 7, 1, 7, 30, tzinfo=zone)
    assert not plan.is_due(at_eight, asked, 0, datetime(2026, 7, 1, 7, 59, tzinfo=zone))
    assert plan.is_due(at_eight, asked, 0, datetime(2026, 7, 1, 8, 0, tzinfo=zone))


@pytest.mark.parametrize(
    ("at", "inside"),
    [
        ("2026-03-04T21:00+00:00", True),  # Wednesday evening
        ("2026-03-05T05:00+00:00", True),  # the night of Wednesday
        ("2026-03-04T12:00+00:00", False),
        ("2026-03-07T21:00+00:00", False),  # Saturday evening
        ("2026-03-07T05:00+00:00", True),  # the night of Friday
        ("2026-03-09T05:00+00:00", False),  # the night of Sunday
    ],
)  # fmt: skip
def test_hours_over_midnight_belong_to_the_day_that_they_begin_on(at: str, inside: bool) -> None:
    nights = pull(between="20:00-06:00", days=["mon", "tue", "wed", "thu", "fri"])
    assert plan.in_hours(nights, datetime.fromisoformat(at)) is inside
