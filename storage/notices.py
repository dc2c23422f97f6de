"""LISTEN and NOTIFY of PostgreSQL: one process of a node wakes another. A notice says nothing but that there is news;
who misses one finds the news in the tables a second later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from radnode.storage.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session

    from radnode.storage.database import Database

_NOTIFY, _LISTEN = text("NOTIFY radnode"), text("LISTEN radnode")


def notify(transaction: Connection | Session) -> None:
    """Wake who listens, once the transaction is committed."""
    transaction.execute(_NOTIFY)


class Listener:
    """A connection that listens from its first use on."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None

    def heard(self, within_s: float) -> bool:
        """Wait for news; whether there is any. Raises :class:`DatabaseUnavailable`."""
        if self._connection is None:
            self._connection = self._listening()
            return True  # of what came before, nobody is told
        driver: Any = self._connection.connection.driver_connection
        try:
            return any(True for _ in driver.notifies(timeout=within_s, stop_after=1))
        except self._database.engine.dialect.loaded_dbapi.Error as error:
            self.close()
            raise DatabaseUnavailable(f"the database ended the connection that listens: {error}") from error

    def close(self) -> None:
        """Listen no more."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()  # it would go back to the pool listening
            connection.close()

    def _listening(self) -> Connection:
        connection = self._database.connect()
        connection.execute(_LISTEN)
        return connection
