"""Sends audit messages to the syslog server, each at least once, and forgets them after their time.

Syslog has no receipt. So a message counts as sent only when the connection that carried it is still there a round
later; what was sent on one that broke is sent again. A server that sees a message twice has lost none.
"""

from __future__ import annotations

import socket
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from radnode.node.audit.syslog import SyslogAway, formatted, opened
from radnode.storage import audit

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from radnode.config.access import AuditSettings, Syslog
    from radnode.node.alarms import Alarms
    from radnode.node.audit.syslog import Line
    from radnode.storage.database import Database

log = structlog.get_logger(__name__)

AT_ONCE = 200
MOST_KEPT = 2_000_000
"""About four gigabytes: what a year of a large node is; beyond, the oldest go first."""
TOLD_AFTER = timedelta(minutes=15)
"""A server may be restarted without anybody being told."""
FORGET_EVERY = timedelta(hours=1)


class Forwarder:
    """One connection, opened when there is something to send."""

    def __init__(
        self, *, database: Database, settings: Callable[[], AuditSettings], alarms: Alarms,
        now: Callable[[], datetime], most_kept: int = MOST_KEPT,
    ) -> None:
        self._database = database
        self._settings = settings
        self._alarms = alarms
        self._now = now
        self._most_kept = most_kept
        self._line: Line | None = None
        self._to: Syslog | None = None
        self._unsure: list[int] = []
        self._forgot_at: datetime | None = None

    def step(self) -> bool:
        """Settle what was sent a round ago, send what waits; True if there is more."""
        self._forget()
        syslog = self._settings().syslog
        if syslog != self._to:
            self.close()
            self._to = syslog
        if syslog is None:
            self._alarms.clear("audit")
            return False
        try:
            more = self._settle_and_send(syslog)
        except SyslogAway as away:
            self.close()
            self._tell(str(away))
            return False
        self._alarms.clear("audit")
        return more

    def close(self) -> None:
        """What is unsure is sent again."""
        if self._line is not None:
            self._line.close()
        self._line, self._unsure = None, []

    def _settle_and_send(self, syslog: Syslog) -> bool:
        if self._line is not None and not self._line.is_alive():
            self.close()
        if self._unsure:
            with self._database.begin() as session:
                audit.sent(session, self._unsure, self._now())
            self._unsure = []
        with self._database.read() as session:
            waiting = audit.waiting(session, AT_ONCE)
        if not waiting:
            return False
        if self._line is None:
            self._line = opened(syslog)
            log.info("audit.connected", host=syslog.host, port=syslog.port, transport=syslog.transport)
        hostname = socket.gethostname()
        self._unsure = [each.message_id for each in waiting]
        self._line.send([formatted(each.at, each.outcome, each.message, hostname) for each in waiting])
        return len(waiting) == AT_ONCE

    def _tell(self, why: str) -> None:
        with self._database.read() as session:
            number, oldest = audit.waits(session)
        log.warning("audit.syslog_away", reason=why, waiting=number)
        if oldest is not None and (self._now() - oldest > TOLD_AFTER or number > self._most_kept // 2):
            self._alarms.set("audit", f"{number} audit messages wait for the syslog server, since "
                                      f"{oldest.isoformat(timespec='minutes')}: {why}")

    def _forget(self) -> None:
        now = self._now()
        if self._forgot_at is not None and now - self._forgot_at < FORGET_EVERY:
            return
        self._forgot_at = now
        with self._database.read() as session:
            unsent, _ = audit.waits(session)
        forgotten = 0
        while some := self._forget_some(now):
            forgotten += some
        if forgotten:
            log.info("audit.forgotten", messages=forgotten, unsent_before=unsent)

    def _forget_some(self, now: datetime) -> int:
        with self._database.begin() as session:
            return audit.forget(session, now - self._settings().keep, self._most_kept)
