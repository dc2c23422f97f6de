"""Many associations, one transaction: whatever waits while a transaction runs shares the next.

No thread of its own: the first to come leads, waits a moment for those whose file is being flushed, records what is
there, and hands the lead to the next in line. One association alone therefore pays neither hand-over nor delay, and
many pay one disk flush together (PostgreSQL's commit_delay and commit_siblings; here the siblings are known).
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog

from radnode.storage.errors import StorageError, TransactionEnded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from radnode.storage.receptions import Reception, Recorded

log = structlog.get_logger(__name__)

LARGEST_BATCH = 256
LONGEST_WAIT_S = 0.003
"""For those who flush their file: about as long as a transaction takes, which they will then share."""
ATTEMPTS = 3
"""At a transaction that the database ends so that another can go on."""


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
        self._coming = 0
        self._all_here = threading.Condition(self._lock)

    def commit(self, reception: Reception, ready: Callable[[], object]) -> Recorded:
        """Record one reception, together with others, once `ready` has made its file durable.

        Raises what `ready` raised, and then nothing is recorded, or what recording it raised.
        """
        own = _Waiting(reception)
        with self._lock:
            self._coming += 1
        try:
            ready()
        except BaseException:
            self._comes_not()
            raise
        with self._lock:
            self._coming -= 1
            self._all_here.notify()
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

    def _comes_not(self) -> None:
        with self._lock:
            self._coming -= 1
            self._all_here.notify()

    def _lead(self) -> None:
        """Record everybody in line, oneself first; then whoever came meanwhile leads."""
        with self._lock:
            self._all_here.wait_for(lambda: not self._coming, LONGEST_WAIT_S)
            batch, self._line = self._line[:LARGEST_BATCH], self._line[LARGEST_BATCH:]
        self._settle(batch)
        with self._lock:
            following = self._line[0] if self._line else None
            self._led = following is not None
        for other in batch[1:]:
            other.woken.set()
        if following is not None:
            following.woken.set()

    def _recorded(self, receptions: Sequence[Reception]) -> Sequence[Recorded]:
        for _ in range(ATTEMPTS - 1):
            try:
                return self._record(receptions)
            except TransactionEnded as error:
                log.warning("reception.recorded_again", receptions=len(receptions), reason=str(error))
        return self._record(receptions)

    def _settle(self, batch: list[_Waiting]) -> None:
        try:
            outcomes = self._recorded([each.reception for each in batch])
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
