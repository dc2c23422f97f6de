"""How many objects of each source were refused lately for what they are. In memory: the sender knows it, too."""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

REMEMBERED_S = 3600.0
MOST_REMEMBERED = 10_000


class RefusalTally:
    """Written by the receiver's threads, read by the watch."""

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._refused: deque[tuple[float, str]] = deque(maxlen=MOST_REMEMBERED)

    def refused(self, source: str) -> None:
        """One more object of this source."""
        with self._lock:
            self._refused.append((self._monotonic_s(), source))

    def lately(self) -> Counter[str]:
        """Source -> objects refused within the last hour."""
        with self._lock:
            while self._refused and self._monotonic_s() - self._refused[0][0] > REMEMBERED_S:
                self._refused.popleft()
            return Counter(source for _, source in self._refused)
