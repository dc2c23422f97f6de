"""Whether the wall clock was moved, seen against the monotonic one (N17)."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

SMALLEST_STEP_S = 5.0
"""Leases and confirmations are counted in tens of seconds; a time service corrects less without a step."""
REMEMBERED_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """seconds: how far it went, forward positive. at: by the clock as it was then."""

    seconds: float
    at: datetime


class WallClock:
    """Compares the clocks whenever it is looked at, from any thread."""

    def __init__(self, now: Callable[[], datetime], monotonic_s: Callable[[], float]) -> None:
        self._now = now
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._seen = now(), monotonic_s()
        self._steps: list[tuple[float, Step]] = []

    def steps(self, within_s: float = REMEMBERED_S) -> list[Step]:
        """How the clock was moved during the last so many seconds, as the monotonic clock counts them."""
        with self._lock:
            (wall, counted_s), self._seen = self._seen, (self._now(), self._monotonic_s())
            now, now_s = self._seen
            should_be = wall + timedelta(seconds=now_s - counted_s)
            moved_s = (now - should_be).total_seconds()
            if abs(moved_s) >= SMALLEST_STEP_S:
                self._steps.append((now_s, Step(seconds=moved_s, at=should_be)))
            self._steps = [(at_s, step) for at_s, step in self._steps if now_s - at_s <= REMEMBERED_S]
            return [step for at_s, step in self._steps if now_s - at_s <= within_s]
