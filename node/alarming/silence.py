"""For how long a source has been silent, counting only the hours in which something is expected of it. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from radnode.config.durations import DAYS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

    from radnode.config.peers import Expectation

LOOKS_BACK = timedelta(days=400)
"""Further than the longest time that can be configured, on one hour a week or not."""


def expected_time(expectation: Expectation, since: datetime, until: datetime, zone: tzinfo | None) -> timedelta:
    """How much of the time from `since` to `until` (UTC) lies in expected hours. zone: whose; None: the machine's."""
    since = max(since, until - LOOKS_BACK)
    hours = _hours(expectation, since, until, zone)
    return sum((max(min(end, until) - max(begin, since), timedelta()) for begin, end in hours), timedelta())


def _hours(
    expectation: Expectation, since: datetime, until: datetime, zone: tzinfo | None
) -> Iterator[tuple[datetime, datetime]]:
    """Begin and end (UTC) of the expected hours of each day that could matter; a day's hours may end on the next."""
    first, last = expectation.hours
    day = since.astimezone(zone).date() - timedelta(days=1)
    while day <= until.astimezone(zone).date():
        if DAYS[day.weekday()] in expectation.days:
            ends_on = day if first < last else day + timedelta(days=1)
            # Without a zone the machine's own is meant. Local hours differ in length where clocks change.
            begin = datetime.combine(day, first, tzinfo=zone).astimezone(UTC)
            yield begin, datetime.combine(ends_on, last, tzinfo=zone).astimezone(UTC)
        day += timedelta(days=1)
