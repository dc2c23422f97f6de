"""Which associations are open, and which series they have carried: completion's evidence "association
released".
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Elsewhere(Protocol):
    """The same of the other receivers of the node; told of this one's."""

    def carried(self, association: str, series_instance_uid: str) -> None:
        """The first image of the series came over this association, and is not recorded yet."""
        ...

    def closed(self, association: str) -> None:
        """One that has carried a series ended."""
        ...

    def is_open(self, association: str) -> bool:
        """Whether one of theirs has not ended."""
        ...

    def open_associations(self, series_instance_uid: str) -> int:
        """How many of theirs are open that have carried the series."""
        ...


class Nowhere:
    """Of a node that is alone."""

    def carried(self, association: str, series_instance_uid: str) -> None:
        """Nobody has to know."""

    def closed(self, association: str) -> None:
        """The same."""

    def is_open(self, _association: str) -> bool:
        """There are no others."""
        return False

    def open_associations(self, _series_instance_uid: str) -> int:
        """The same."""
        return 0


class Associations:
    """The open associations of this process, by identifier; from any thread.

    A restart forgets them, rightly: every association ended with the process.
    `on_change` is called, outside the lock, when an association opens or closes; it must not block.
    elsewhere: where several receivers are one node.
    """

    def __init__(self, on_change: Callable[[], None], elsewhere: Elsewhere | None = None) -> None:
        self._on_change = on_change
        self._elsewhere = elsewhere or Nowhere()
        self._lock = threading.Lock()
        self._series: dict[str, set[str]] = {}

    def opened(self, identifier: str) -> None:
        """A peer's association was accepted."""
        with self._lock:
            self._series[identifier] = set()
        self._on_change()

    def carried(self, identifier: str, series_instance_uid: str) -> None:
        """An object of the series is here; said before it is recorded, so that nobody closes the series too
        early. Raises DatabaseUnavailable where others must know.
        """
        with self._lock:
            series = self._series.get(identifier)
            if series is None or series_instance_uid in series:
                return
        self._elsewhere.carried(identifier, series_instance_uid)
        with self._lock:
            series.add(series_instance_uid)

    def closed(self, identifier: str) -> None:
        """The association ended, in whatever way."""
        with self._lock:
            series = self._series.pop(identifier, None)
        if series:
            self._elsewhere.closed(identifier)
        self._on_change()

    def open(self) -> list[str]:
        """Those of this process."""
        with self._lock:
            return list(self._series)

    def is_open(self, identifier: str) -> bool:
        """Whether this one has not ended."""
        with self._lock:
            if identifier in self._series:
                return True
        return self._elsewhere.is_open(identifier)

    def open_associations(self, series_instance_uid: str) -> int:
        """How many associations are open that have carried the series."""
        with self._lock:
            number = sum(series_instance_uid in series for series in self._series.values())
        return number + self._elsewhere.open_associations(series_instance_uid)
