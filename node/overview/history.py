"""The past, hour by hour: an hour that has ended is asked of the database once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from radnode.node.overview.judging import quantile
from radnode.storage import throughput
from radnode.storage.throughput import HOUR, Hour, whole_hour

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from radnode.storage.database import Database

LONGEST_DAYS = 7
STATES = {"made": ("PRODUCED", "SUPERSEDED"), "refused": ("NOT_PROCESSED",), "failed": ("FAILED",)}
"""How charts call the states of ended jobs."""


class History:
    """What was done in each hour of the last days. What changes in an ended hour afterwards is not looked at again."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self._lock = threading.Lock()
        self._ended: dict[datetime, Hour] = {}

    def hours(self, days: int) -> dict[datetime, Hour]:
        """The hours of so many days, the present one last, in order. Raises DatabaseUnavailable."""
        present = whole_hour(self._now())
        wanted = [present - HOUR * back for back in range(24 * min(days, LONGEST_DAYS) - 1, -1, -1)]
        with self._lock:
            self._ended = {at: hour for at, hour in self._ended.items() if present - at < HOUR * 24 * LONGEST_DAYS}
            if missing := [at for at in wanted if at not in self._ended]:
                with self._database.read() as session:
                    found = throughput.hours(session, missing[0], present + HOUR)
                self._ended |= {at: hour for at, hour in found.items() if at < present}
                return {at: found.get(at) or self._ended[at] for at in wanted}
            return {at: self._ended[at] for at in wanted}

    def bytes_a_day(self) -> int | None:
        """Received in the 24 hours that ended last; None as long as nothing has come for so long."""
        present = whole_hour(self._now())
        hours = {at: hour for at, hour in self.hours(2).items() if at < present}
        if not any(hour.bytes for hour in list(hours.values())[:-23]):
            return None
        return sum(hour.bytes for hour in list(hours.values())[-24:])

    def series(self, days: int) -> dict[str, Any]:
        """For charts: `at` in seconds since 1970, one value an hour; latencies in seconds, None where nothing was sent.

        The last hour is the present one, which has not ended.
        """
        hours = self.hours(days)
        return {
            "at": [int(at.timestamp()) for at in hours],
            "studies": [hour.studies for hour in hours.values()],
            "images": [hour.images for hour in hours.values()],
            "jobs": {
                name: [sum(hour.jobs.get(state, 0) for state in states) for hour in hours.values()]
                for name, states in STATES.items()
            },
            "latency": {
                "median": [quantile(hour.latency_s, 0.5) for hour in hours.values()],
                "p95": [quantile(hour.latency_s, 0.95) for hour in hours.values()],
                "results": [len(hour.latency_s) for hour in hours.values()],
            },
        }
