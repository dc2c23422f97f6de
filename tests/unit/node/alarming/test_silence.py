"""Which time counts as silence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from radnode.config.peers import Expectation
from radnode.node.alarming.silence import expected_time

WORK = Expectation.model_validate(
    {"every": "2 h", "between": "07:00-19:00", "days": ["mon", "tue", "wed", "thu", "fri"]}
)
NIGHT = Expectation.model_validate({"every": "2 h", "between": "22:00-06:00"})
ALWAYS = Expectation.model_validate({"every": "2 h"})
HOUR = timedelta(hours=1)


def at(day: int, hour: float) -> datetime:
    """March 2026; the 2nd is a Monday."""
    return datetime(2026, 3, day, tzinfo=UTC) + hour * HOUR


@pytest.mark.parametrize(
    ("expectation", "since", "until", "hours"),
    [
        (ALWAYS, at(2, 3), at(4, 5), 50),
        (WORK, at(2, 8), at(2, 10), 2),
        (WORK, at(2, 18.5), at(3, 8), 1.5),
        (WORK, at(2, 20), at(3, 6), 0),
        (WORK, at(6, 18), at(9, 8), 2),  # Friday evening to Monday morning
        (WORK, at(7, 8), at(8, 18), 0),  # a weekend
        (NIGHT, at(2, 21), at(3, 7), 8),
        (NIGHT, at(2, 23), at(3, 1), 2),
        (NIGHT, at(2, 7), at(2, 21), 0),
        (ALWAYS, at(3, 5), at(3, 3), 0),  # the clock was moved back
    ],
)
def test_only_expected_hours_count(expectation: Expectation, since: datetime, until: datetime, hours: float) -> None:
    assert expected_time(expectation, since, until, UTC) == hours * HOUR


def test_hours_are_those_of_the_place() -> None:
    """Noon to four in the afternoon UTC are 7 to 11 in New York, in winter."""
    assert expected_time(WORK, at(2, 11), at(2, 16), ZoneInfo("America/New_York")) == 4 * HOUR


def test_a_day_on_which_the_clocks_go_forward_has_an_hour_less() -> None:
    """Zurich, 29 March 2026: 22:00 to 06:00 are seven hours."""
    zone = ZoneInfo("Europe/Zurich")
    assert expected_time(NIGHT, at(28, 12), at(29, 12), zone) == 7 * HOUR


def test_years_of_silence_are_counted_in_bounded_time() -> None:
    assert expected_time(ALWAYS, datetime(1990, 1, 1, tzinfo=UTC), at(2, 0), UTC) == timedelta(days=400)
