"""Many associations, one transaction: whatever waits while a transaction runs shares the next.

No thread of its own and no delay: the first to come leads, records what waits, and hands the lead to the next
in line. One association alone therefore pays no hand-over, and many pay one disk flush together.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from radnode.storage.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from radnode.storage.receptions import Reception, Recorded

LARGEST_BATCH = 256


class _Waiting:
    """One reception, the outcome of its transaction, and the event that ends its wait."""

    def __init__(self, reception: Reception) -> None:
        self.reception = reception
        self.outcome: Recorded | Exception | None = None
        self.woken = threading.Event()


class Committer:
    """`commit` returns when the reception is in the database, on stable storage."""

    def __init__(self, record: Callable[[Sequence[Reception]], Sequence[Recorded]]) -> None:
        self._record = record
        self._lock = threading.Lock()
        self._line: list[_Waiting] = []
        self._led = False

    def commit(self, reception: Reception) -> Recorded:
        """Record one reception, together with others. Raises what recording it raised."""
        own = _Waiting(reception)
        with self._lock:
            self._line.append(own)
            leads = not self._led
            self._led = True
        if not leads:
            own.woken.wait()
        if own.outcome is None:
            self._lead()
        if isinstance(own.outcome, Exception):
            raise own.outcome
        assert own.outcome is not None  # noqa: S101 - the leader's batch starts with itself
        return own.outcome

    def _lead(self) -> None:
        """Record everybody in line, oneself first; then whoever came meanwhile leads."""
        with self._lock:
            batch, self._line = self._line[:LARGEST_BATCH], self._line[LARGEST_BATCH:]
        self._settle(batch)
        with self._lock:
            following = self._line[0] if self._line else None
            self._led = following is not None
        for other in batch[1:]:
            other.woken.set()
        if following is not None:
            following.woken.set()

    def _settle(self, batch: list[_Waiting]) -> None:
        try:
            outcomes = self._record([each.reception for each in batch])
            for each, outcome in zip(batch, outcomes, strict=True):
                each.outcome = outcome
        except StorageError as error:
            for each in batch:
                each.outcome = error
        except Exception as error:  # noqa: BLE001 - one reception must not fail its neighbours
            if len(batch) == 1:
                batch[0].outcome = error
                return
            for each in batch:
                self._settle([each])
