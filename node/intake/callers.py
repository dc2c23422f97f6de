"""Who was turned away at the DICOM port, by what he called himself: a stranger, or a peer that is configured otherwise.

In memory: who is misconfigured calls again, and who does not is nobody's concern.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

REMEMBERED_S = 86_400.0
MOST_REMEMBERED = 200
"""Different callers; of a scanner of ports that calls itself something else each time the last are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """calling, called: AE titles, printable. why: as the log says it. number: how often within a day.

    ago_s: seconds since the last time.
    """

    calling: str
    called: str
    host: str
    why: str
    number: int
    ago_s: float


class TurnedAway:
    """Written by the receiver's threads, read by the page."""

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str, str, str], tuple[int, float]] = OrderedDict()

    def note(self, calling: str, called: str, host: str, why: str) -> None:
        """One more association was rejected."""
        key, now = (_shown(calling), _shown(called), host, why), self._monotonic_s()
        with self._lock:
            number, last = self._known.pop(key, (0, now))
            self._known[key] = (1 if now - last > REMEMBERED_S else number + 1, now)
            while len(self._known) > MOST_REMEMBERED:
                self._known.popitem(last=False)

    def lately(self) -> list[Caller]:
        """Of the last day, the latest first."""
        with self._lock:
            now = self._monotonic_s()
            found = [
                Caller(calling=calling, called=called, host=host, why=why, number=number, ago_s=now - last)
                for (calling, called, host, why), (number, last) in self._known.items() if now - last <= REMEMBERED_S
            ]
        return found[::-1]


def _shown(title: str) -> str:
    """What a stranger wrote, as far as it is an AE title (PS3.5 6.2)."""
    return "".join(each if each.isascii() and each.isprintable() else "?" for each in title[:16]).strip()
