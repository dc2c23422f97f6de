"""Tells one sink what it is owed. Each sink has a teller and a thread of its own, so that none waits for another."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

import structlog

from radnode.node.alarming.kinds import kind_of
from radnode.node.alarming.messages import Message
from radnode.node.alarming.sinks import SinkFailed, post, send_mail
from radnode.node.alarming.telling import owed, tell_after
from radnode.node.alarming.watch import DATABASE
from radnode.node.delivery.backoff import jitter, next_wait
from radnode.storage import alarms as kept
from radnode.storage import silences
from radnode.storage.alarms import KeptAlarm, Telling
from radnode.storage.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from radnode.config.loading import Configuration
    from radnode.node.alarming.telling import Owed
    from radnode.node.alarms import Alarms
    from radnode.node.observability import Metrics
    from radnode.storage.database import Database

log = structlog.get_logger(__name__)

Sink = Literal["mail", "webhook"]
SINKS: tuple[Sink, ...] = ("mail", "webhook")
AT_ONCE = 50
"""Alarms in one message; the others come in the next."""
NO_NEWS = timedelta(days=7)
"""That an alarm is over is told no longer than so long afterwards."""
_NO_ROW = 0
"""Stands for the alarm that has no row: that there is no database."""


class Teller:
    """`step` tells what is owed, unless the sink failed a moment ago."""

    def __init__(
        self,
        sink: Sink,
        *,
        database: Database,
        configuration: Callable[[], Configuration],
        reported: Alarms,
        now: Callable[[], datetime],
        monotonic_s: Callable[[], float],
        metrics: Metrics,
    ) -> None:
        self._sink = sink
        self._database = database
        self._configuration = configuration
        self._reported = reported
        self._now = now
        self._monotonic_s = monotonic_s
        self._metrics = metrics
        self._failures = 0
        self._next_try_s = 0.0
        self._outage: KeptAlarm | None = None
        self._unwritten: dict[int, Telling] = {}

    def step(self) -> bool:
        """One attempt at most; True while more is owed than one message holds."""
        if getattr(self._configuration().alarms, self._sink) is None:
            self._answered()
            return False
        if self._monotonic_s() < self._next_try_s:
            return False
        now = self._now()
        settings = self._configuration().alarms
        news = owed(self._known(now), self._sink, now, lambda name: tell_after(name, settings))
        if not news:
            return False
        message = Message(node=self._configuration().settings.ae_title, at=now, owed=news[:AT_ONCE])
        try:
            complaint = self._send(message)
        except SinkFailed as error:
            self._failed(error)
            return False
        self._answered()
        if complaint:
            self._reported.set(f"sink:{self._sink}", complaint)
        self._metrics.alarms_told.labels(self._sink, "told").inc(len(news[:AT_ONCE]))
        log.info("alarm.told", sink=self._sink, alarms=[f"{each.event} {each.alarm.name}" for each in news[:AT_ONCE]])
        self._note(news[:AT_ONCE], now)
        return len(news) > AT_ONCE

    def _send(self, message: Message) -> str:
        """What went wrong although it was told: some get no mail."""
        settings = self._configuration().alarms
        if self._sink == "mail" and settings.mail is not None:
            refused = send_mail(settings.mail, message)
            return f"{settings.mail.host} takes no mail for {', '.join(refused)}" if refused else ""
        if self._sink == "webhook" and settings.webhook is not None:
            post(settings.webhook, message)
        return ""

    def _known(self, now: datetime) -> list[KeptAlarm]:
        """The rows that nobody has silenced, with what they could not be told to hold; without a database, that there
        is none.
        """
        try:
            self._write(now)
            with self._database.read() as session:
                silenced = silences.silenced(session, now)
                known = [alarm for alarm in kept.known(session, now - NO_NEWS) if alarm.name not in silenced]
        except DatabaseUnavailable:
            known = []
        self._watch_outage(now)
        if self._outage is not None:
            known.append(self._outage)
        return [
            replace(alarm, tellings={**alarm.tellings, self._sink: told})
            if (told := self._unwritten.get(alarm.alarm_id)) else alarm
            for alarm in known
        ]

    def _watch_outage(self, now: datetime) -> None:
        there = next((alarm for alarm in self._reported.raised() if alarm.name == DATABASE), None)
        if there is not None:
            self._outage = KeptAlarm(
                alarm_id=_NO_ROW, name=there.name, severity=kind_of(there.name).severity, text=there.text,
                since=there.since, last_seen_at=now, cleared_at=None,
            )
        elif self._outage is not None and self._outage.cleared_at is None:
            self._outage = replace(self._outage, cleared_at=now)

    def _note(self, news: Sequence[Owed], now: datetime) -> None:
        """In memory first: a database that takes no rows must not make the sink be told every few seconds."""
        self._unwritten |= {each.alarm.alarm_id: Telling(event=each.event, told_at=now) for each in news}
        if (told := self._unwritten.get(_NO_ROW)) is not None and told.event == "cleared":
            self._outage = None
            del self._unwritten[_NO_ROW]
        try:
            self._write(now)
        except DatabaseUnavailable as error:
            log.warning("alarm.told_unwritten", sink=self._sink, reason=str(error))

    def _write(self, now: datetime) -> None:
        rows = [(number, told.event) for number, told in self._unwritten.items() if number != _NO_ROW]
        if not rows:
            return
        with self._database.begin() as session:
            kept.told(session, rows, self._sink, now)
        for number, _ in rows:
            del self._unwritten[number]

    def _failed(self, error: SinkFailed) -> None:
        self._failures += 1
        wait_s = next_wait(self._failures, jitter()).total_seconds()
        self._next_try_s = self._monotonic_s() + wait_s
        self._reported.set(f"sink:{self._sink}", f"{error}; {self._failures} attempts in vain")
        self._metrics.alarms_told.labels(self._sink, "failed").inc()
        log.warning("alarm.not_told", sink=self._sink, reason=str(error), failures=self._failures,
                    wait_s=round(wait_s, 1))

    def _answered(self) -> None:
        self._failures = 0
        self._next_try_s = 0.0
        self._reported.clear(f"sink:{self._sink}")
