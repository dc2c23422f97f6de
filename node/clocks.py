"""Noticing when the wall clock jumps against the monotonic one.

What must not be cut short is timed by the monotonic clock. Leases are rows, so they end by the wall clock; a step of
that clock by NTP or by hand would end all of them at once (N17). Who ends leases therefore asks here first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

log = structlog.get_logger(__name__)

JUMP = timedelta(seconds=2)
"""NTP corrects up to 0.128 s by slewing and steps above that; two seconds are no slewing and cost no lease."""


REMEMBERED_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """seconds: how far, forward positive. at: what the clock would show without it."""

    seconds: float
    at: datetime


class ClockWatch:
    """For one thread. patience: the longest lease there is."""

    def __init__(self, now: Callable[[], datetime], monotonic_s: Callable[[], float], patience: timedelta) -> None:
        self._now = now
        self._monotonic_s = monotonic_s
        self._patience_s = patience.total_seconds()
        self._epoch = self._at_zero()
        self._trusted_from_s = monotonic_s()
        self._jumped: tuple[float, Jump] | None = None

    def look(self) -> datetime | None:
        """The wall clock, by which leases may be judged; None for a while after a jump.

        Within that while whoever holds a lease renews it by the new time, and what is not renewed has run its length.
        """
        epoch = self._at_zero()
        step, self._epoch = epoch - self._epoch, epoch
        monotonic_s = self._monotonic_s()
        if abs(step) > JUMP:
            log.warning("clock.jumped", seconds=round(step.total_seconds(), 1))
            self._trusted_from_s = monotonic_s + self._patience_s
            at = epoch - step + timedelta(seconds=monotonic_s)
            self._jumped = monotonic_s, Jump(seconds=step.total_seconds(), at=at)
        if monotonic_s < self._trusted_from_s:
            return None
        return epoch + timedelta(seconds=monotonic_s)

    def last_jump(self) -> Jump | None:
        """The last one that :meth:`look` saw, for an hour of the monotonic clock."""
        if self._jumped is None or self._monotonic_s() - self._jumped[0] > REMEMBERED_S:
            return None
        return self._jumped[1]

    def _at_zero(self) -> datetime:
        """What the wall clock showed when the monotonic one was zero; it moves only when the wall clock is set."""
        return self._now() - timedelta(seconds=self._monotonic_s())
