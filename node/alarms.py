"""What parts of this process say is wrong right now, in words an administrator can act upon.

These are facts about the process; `node/alarming/` adds what the tables and the disk say, keeps alarms and tells them.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """`name` is stable, a kind of `node/alarming/kinds.py` and mostly a subject ("destination:PACS1")."""

    name: str
    text: str
    since: datetime


class Alarms:
    """The alarms raised now, by name. Raising again keeps the first time; clearing an unknown name is harmless.

    on_change: a name came or went.
    """

    def __init__(self, now: Callable[[], datetime], on_change: Callable[[], None] = lambda: None) -> None:
        self._now = now
        self._on_change = on_change
        self._lock = threading.Lock()
        self._raised: dict[str, Alarm] = {}

    def set(self, name: str, text: str) -> None:
        """Raise `name`, or change its text."""
        with self._lock:
            before = self._raised.get(name)
            self._raised[name] = Alarm(name=name, text=text, since=before.since if before else self._now())
        if before is None:
            self._on_change()

    def clear(self, name: str) -> None:
        """The cause of `name` is gone."""
        with self._lock:
            gone = self._raised.pop(name, None)
        if gone is not None:
            self._on_change()

    def raised(self) -> list[Alarm]:
        """All alarms, oldest first."""
        with self._lock:
            return sorted(self._raised.values(), key=lambda alarm: alarm.since)
