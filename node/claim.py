"""One node a database: two would give back each other's jobs. The same node may return at once."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from radnode.storage import leases

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from radnode.storage.database import Database

LEASE_TIME = timedelta(seconds=30)


class DatabaseClaim:
    """A lease that a node takes at its start, keeps while it runs and gives back at its end.

    identity: what this node is called in the database.
    """

    def __init__(self, database: Database, identity: str, now: Callable[[], datetime]) -> None:
        self._database = database
        self._identity = identity
        self._now = now
        self._token = 0

    def take(self) -> bool:
        """False while another node has it."""
        with self._database.begin() as session:
            token = leases.acquire(session, leases.DATABASE_LEASE, self._identity, self._now(), LEASE_TIME)
        self._token = token or 0
        return token is not None

    def keep(self) -> bool:
        """Prolong it, or take it again where it had ended; False once another node has it."""
        with self._database.begin() as session:
            kept = leases.renew(session, leases.DATABASE_LEASE, self._token, self._now(), LEASE_TIME)
        return kept or self.take()

    def give_back(self) -> None:
        """Whoever comes next need not wait."""
        with self._database.begin() as session:
            leases.release(session, leases.DATABASE_LEASE, self._token, self._now())
