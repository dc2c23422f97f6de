"""What is wrong right now, in words an administrator can act upon."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """`name` is stable ("destination:PACS1"); `text` says what is wrong and what to do."""

    name: str
    text: str
    since: datetime


class Alarms:
    """The alarms raised now, by name. Raising again keeps the first time; clearing an unknown name is harmless."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._raised: dict[str, Alarm] = {}

    def set(self, name: str, text: str) -> None:
        """Raise `name`, or change its text."""
        with self._lock:
            before = self._raised.get(name)
            self._raised[name] = Alarm(name=name, text=text, since=before.since if before else self._now())
        if before is None:
            log.error("alarm.raised", alarm=name, text=text)

    def clear(self, name: str) -> None:
        """The cause of `name` is gone."""
        with self._lock:
            gone = self._raised.pop(name, None)
        if gone is not None:
            log.info("alarm.cleared", alarm=name)

    def raised(self) -> list[Alarm]:
        """All alarms, oldest first."""
        with self._lock:
            return sorted(self._raised.values(), key=lambda alarm: alarm.since)
