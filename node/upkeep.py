"""What must be looked after every few seconds: ended leases, refused forms, numbers for the metrics, what is old."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

from radnode.node.clocks import ClockWatch
from radnode.node.delivery import backoff, sender
from radnode.node.delivery.fallback import FORM_ALARMS, alarm_name, alarm_text
from radnode.node.execution import dispatcher
from radnode.node.observability import log_is_failing
from radnode.storage import jobs, outbox, results, retention, workitems

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime, timedelta

    from radnode.config.peers import Peer
    from radnode.node.alarms import Alarms
    from radnode.node.observability import Metrics
    from radnode.storage.database import Database
    from radnode.storage.files import FileStore

log = structlog.get_logger(__name__)

EXPIRE_AT_ONCE = 500
LONGEST_LEASE = max(dispatcher.LEASE, sender.LEASE)


class Upkeep:
    """`step` does one round."""

    def __init__(
        self,
        *,
        database: Database,
        store: FileStore,
        now: Callable[[], datetime],
        alarms: Alarms,
        metrics: Metrics,
        retention_time: timedelta,
        peers: Callable[[], Mapping[str, Peer]],
        on_jobs: Callable[[], None],
        monotonic_s: Callable[[], float] = time.monotonic,
        renew: Callable[[], object] = lambda: None,
    ) -> None:
        """renew: prolongs whatever this process holds."""
        self._database = database
        self._store = store
        self._now = now
        self._alarms = alarms
        self._metrics = metrics
        self._retention_time = retention_time
        self._peers = peers
        self._on_jobs = on_jobs
        self._renew = renew
        self._clock = ClockWatch(now, monotonic_s, LONGEST_LEASE)

    def step(self) -> bool:
        """One round; True while something that is old is left to delete."""
        self._give_back_leases()
        self._metrics.disk_free_bytes.set(self._store.free_bytes())
        self._count_deliveries()
        self._check_log()
        self._check_forms()
        if self._clock.last_jump():
            return False
        expired = retention.expire(
            self._database, self._store, self._now() - self._retention_time, self._now(), EXPIRE_AT_ONCE
        )
        if expired:
            log.info("instances.expired", number=expired)
        with self._database.begin() as session:
            forgotten = workitems.forget_ended(session, self._now() - self._retention_time, EXPIRE_AT_ONCE)
        if forgotten:
            log.info("workitems.forgotten", number=forgotten)
        return EXPIRE_AT_ONCE in (expired, forgotten)

    def _give_back_leases(self) -> None:
        now = self._trusted_time()
        if now is None:
            return
        # First, because the node itself, or its database, may have been frozen for longer than a lease.
        self._renew()
        with self._database.begin() as session:
            given_back = jobs.reap(session, now)
            outbox.reap(session, now)
            outbox.hasten(session, now, backoff.LONGEST_WAIT)
        if given_back:
            log.warning("jobs.given_back", jobs=given_back)
            self._on_jobs()

    def _trusted_time(self) -> datetime | None:
        """Now, unless somebody has just moved the clock; whoever reads the log must know that, too."""
        now = self._clock.look()
        if jump := self._clock.last_jump():
            direction = "forward" if jump.seconds > 0 else "back"
            self._alarms.set(
                "clock", f"the clock was moved {direction} by {abs(jump.seconds):.0f} s when it showed "
                f"{jump.at:%H:%M:%S} UTC",
            )
        else:
            self._alarms.clear("clock")
        return now

    def _count_deliveries(self) -> None:
        with self._database.read() as session:
            counts = outbox.counts(session)
        self._metrics.deliveries_now.clear()
        for (destination, state), number in counts.items():
            self._metrics.deliveries_now.labels(destination, state).set(number)

    def _check_forms(self) -> None:
        """An administrator sees which destinations get something else than was configured; also after a restart."""
        with self._database.begin() as session:
            forgotten = results.forget_outdated_refusals(
                session, {name: peer.digest for name, peer in self._peers().items()}
            )
            remembered = results.all_refusals(session)
        if forgotten:
            log.info("refusals.forgotten", number=forgotten)
        texts = {}
        for each in remembered:
            refused = {other.form for other in remembered if other.destination == each.destination}
            texts[alarm_name(each.destination, each.form)] = alarm_text(
                each.destination, each.form, each.reason, refused
            )
        for name, text in texts.items():
            self._alarms.set(name, text)
        for alarm in self._alarms.raised():
            if alarm.name.startswith(FORM_ALARMS) and alarm.name not in texts:
                self._alarms.clear(alarm.name)

    def _check_log(self) -> None:
        if log_is_failing():
            self._alarms.set("log", "log lines are lost")
        else:
            self._alarms.clear("log")
