"""Times as an administrator writes them: how long ("2 h"), and when in the week ("07:00-19:00" on working days)."""

from __future__ import annotations

import re
from datetime import time, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator

_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"\s*(\d{1,9}(?:\.\d{1,3})?)\s*(s|min|h|d)\s*")
_LONGEST = timedelta(days=366)
_HOURS = re.compile(r"(\d\d:\d\d)-(\d\d:\d\d)")


def duration(value: object) -> object:
    """A written time; ValueError says how one is written."""
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('a time is written like "30 s", "15 min", "2 h" or "1 d"')
    seconds = float(match[1]) * _UNITS[match[2]]
    if not 1 <= seconds <= _LONGEST.total_seconds():
        raise ValueError("between one second and 366 days")
    return timedelta(seconds=seconds)


def _hours(value: str) -> str:
    match = _HOURS.fullmatch(value)
    try:
        ends = {time.fromisoformat(each) for each in match.groups()} if match else set()
    except ValueError:
        ends = set()
    if len(ends) != 2:
        raise ValueError('two hours of the day are written like "07:00-19:00", in quotes')
    return value


Duration = Annotated[timedelta, BeforeValidator(duration)]
Hours = Annotated[str, AfterValidator(_hours)]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
