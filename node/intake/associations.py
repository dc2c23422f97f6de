"""Which associations are open, and which series they have carried: completion's evidence "association
released".
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Associations:
    """The open associations of this process, by identifier; from any thread.

    A restart forgets them, rightly: every association ended with the process.
    `on_change` is called, outside the lock, when an association opens or closes; it must not block.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._lock = threading.Lock()
        self._series: dict[str, set[str]] = {}

    def opened(self, identifier: str) -> None:
        """A peer's association was accepted."""
        with self._lock:
            self._series[identifier] = set()
        self._on_change()

    def carried(self, identifier: str, series_instance_uid: str) -> None:
        """An object of the series is here; said before it is recorded, so that nobody closes the series too
        early.
        """
        with self._lock:
            if (series := self._series.get(identifier)) is not None:
                series.add(series_instance_uid)

    def closed(self, identifier: str) -> None:
        """The association ended, in whatever way."""
        with self._lock:
            self._series.pop(identifier, None)
        self._on_change()

    def is_open(self, identifier: str) -> bool:
        """Whether this one has not ended."""
        with self._lock:
            return identifier in self._series

    def open_associations(self, series_instance_uid: str) -> int:
        """How many associations are open that have carried the series."""
        with self._lock:
            return sum(series_instance_uid in series for series in self._series.values())
