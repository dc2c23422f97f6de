"""Which destinations do not answer now, and when each is tried next: a circuit breaker.

    answers ──no connection, or 3 transient failures in a row──▶ outage ──next attempt due──▶ one object is tried
       ▲                                                           ▲                            │          │
       └────────────── it answers that one, whatever it says ──────┼────────────────────────────┘          │
                                                                   └──────────── it fails: longer wait ────┘

Kept in memory on purpose. An outage is a fact about the network now: after a restart one attempt shows whether it still
holds, and an administrator who restarts the node wants to see that attempt. What must survive does: every delivery that
waits carries its reason and its next attempt in its row.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from radnode.node.delivery.backoff import LONGEST_WAIT, next_wait

if TYPE_CHECKING:
    from datetime import datetime

FAILURES_IN_A_ROW = 3
"""One object that crashes the destination is not an outage; three failures without an answer between them are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A destination that does not answer. failures: attempts in vain since it began."""

    destination: str
    since: datetime
    failures: int
    reason: str
    next_attempt_at: datetime


class Outages:
    """The outages now, by destination. Read by the HTTP server's threads, hence the lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, Outage] = {}
        self._failures: Counter[str] = Counter()

    def __contains__(self, destination: str) -> bool:
        with self._lock:
            return destination in self._open

    def current(self) -> list[Outage]:
        """All, oldest first."""
        with self._lock:
            return sorted(self._open.values(), key=lambda outage: outage.since)

    def may_try(self, destination: str, now: datetime) -> bool:
        """Whether anything may be sent there now. What lies beyond the longest wait was set by another clock."""
        with self._lock:
            outage = self._open.get(destination)
        return outage is None or not now < outage.next_attempt_at <= now + LONGEST_WAIT

    def next_attempt_at(self, destination: str, otherwise: datetime) -> datetime:
        """When the destination is tried next; `otherwise` where it has no outage."""
        with self._lock:
            outage = self._open.get(destination)
        return outage.next_attempt_at if outage else otherwise

    def unreachable(
        self, destination: str, reason: str, now: datetime, jitter: float, *, at_least: timedelta = timedelta()
    ) -> Outage:
        """There was no association; no other object would fare better.

        at_least: how long the destination wants to be left alone; more than the longest wait it is not.
        """
        with self._lock:
            before = self._open.get(destination)
            failures = before.failures + 1 if before else 1
            outage = Outage(
                destination=destination, since=before.since if before else now, failures=failures, reason=reason,
                next_attempt_at=now + max(next_wait(failures, jitter), min(at_least, LONGEST_WAIT)),
            )
            self._open[destination] = outage
        return outage

    def failed(self, destination: str, reason: str, now: datetime, jitter: float) -> Outage | None:
        """An object was not answered, or answered with a transient failure; the outage, if it is one by now."""
        with self._lock:
            self._failures[destination] += 1
            is_outage = destination in self._open or self._failures[destination] >= FAILURES_IN_A_ROW
        return self.unreachable(destination, reason, now, jitter) if is_outage else None

    def answered(self, destination: str) -> bool:
        """It is there; True when that ended an outage."""
        with self._lock:
            self._failures.pop(destination, None)
            return self._open.pop(destination, None) is not None

    def forget(self, destination: str) -> None:
        """It is no destination any more."""
        self.answered(destination)
