"""The engine, its transactions, and bringing the schema up to date."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sqlalchemy import create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool

from radnode.storage import schema
from radnode.storage.errors import DatabaseUnavailable, TransactionEnded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import URL, Connection

    from radnode.storage.schema import Schema

SQLITE_WAIT_MS = 30_000
_NOT_OUR_MISTAKE = ("OperationalError", "InterfaceError", "InternalError", "DatabaseError")
"""Kinds of PEP 249 that speak of the server, the disk or the file; the others are mistakes in a statement or value."""
_ENDED_FOR_ANOTHER = ("40001", "40P01")
"""serialization_failure and deadlock_detected (PostgreSQL, Appendix A)."""


class Database:
    """An engine for SQLite (WAL, every commit flushed) or PostgreSQL. Safe to use from many threads."""

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        """read_only: an SQLite file is neither made nor changed; for who only looks."""
        self._is_sqlite = make_url(url).get_backend_name() == "sqlite"
        options: dict[str, Any] = {"pool_size": 20, "max_overflow": 40, "poolclass": QueuePool}
        if not self._is_sqlite:
            options["pool_pre_ping"] = True
        read_only = read_only and self._is_sqlite
        self.engine = create_engine(_unwritable(url) if read_only else url, **options)
        if self._is_sqlite:
            event.listen(self.engine, "connect", _look_into_sqlite if read_only else _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        # Counts that are compared with each other must be of one instant; SQLite reads a snapshot anyway.
        snapshot: dict[str, Any] = {} if self._is_sqlite else {"isolation_level": "REPEATABLE READ"}
        self._reading = self.engine.execution_options(radnode_reading=True, **snapshot)

    def on_statement(self, count: Callable[[], None]) -> None:
        """Call this before each statement; many rows in one are one, where a transaction begins and ends is none."""

        def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if not statement.startswith("BEGIN"):
                count()

        event.listen(self.engine, "before_cursor_execute", note)

    @contextlib.contextmanager
    def begin(self) -> Iterator[Session]:
        """A write transaction, committed at the end of the block. Raises :class:`DatabaseUnavailable`."""
        with _translated(), Session(self.engine) as session, session.begin():
            yield session

    @contextlib.contextmanager
    def transact(self) -> Iterator[Connection]:
        """As :meth:`begin`, without a session, which costs as much as a statement or two: for each image."""
        with _translated(), self.engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def read(self) -> Iterator[Session]:
        """A consistent view; nothing written through it is kept. Raises :class:`DatabaseUnavailable`."""
        with _translated(), Session(self._reading) as session:
            yield session

    def connect(self) -> Connection:
        """A connection for one's own, each statement a transaction. Raises :class:`DatabaseUnavailable`."""
        with _translated():
            return self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    def upgrade(self) -> None:
        """Create the schema or bring it up to date, one process at a time. Raises :class:`SchemaTooNew`."""
        if self.is_usable():
            return
        from radnode.storage import migrating

        with _translated(), self.engine.connect() as connection:
            migrating.upgrade(connection)

    def schema(self) -> Schema:
        """How the schema compares with this version's; nothing is changed. Raises :class:`DatabaseUnavailable`."""
        with _translated(), self._reading.connect() as connection:
            return schema.compared(connection)

    def is_usable(self) -> bool:
        """Whether this version can work on the tables as they are. Raises :class:`DatabaseUnavailable`."""
        return self.schema() in schema.USABLE

    def is_sound(self) -> bool:
        """Whether every page of an SQLite file can be read; PostgreSQL looks after its own. Raises as `schema`."""
        if not self._is_sqlite:
            return True
        with _translated(), self._reading.connect() as connection:
            return bool(connection.exec_driver_sql("PRAGMA quick_check").scalar() == "ok")

    def now(self) -> datetime:
        """The time where the database runs; on SQLite that is here. Raises :class:`DatabaseUnavailable`."""
        if self._is_sqlite:
            return datetime.now(UTC)
        with self.read() as session:
            found: datetime = session.execute(text("SELECT clock_timestamp()")).scalar_one()
            return found

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by _begin_sqlite, not guessed by the driver
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={SQLITE_WAIT_MS}")
    _use_wal(cursor)
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _use_wal(cursor: Any) -> None:
    """Two that change the journal of a new file at once are told "locked" without waiting; the timeout is ours then."""
    deadline = time.monotonic() + SQLITE_WAIT_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _look_into_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={SQLITE_WAIT_MS}")


def _unwritable(url: str) -> URL:
    """https://sqlite.org/uri.html: mode=ro neither makes a file nor writes into one."""
    parsed = make_url(url)
    return parsed.set(database=f"file:{quote(parsed.database or '')}", query={"mode": "ro", "uri": "true"})


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE takes the write lock at once: a transaction that reads first and writes later could not get it any more
    # once somebody else has written in between.
    reading = connection.get_execution_options().get("radnode_reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except PoolExhausted as error:
        raise DatabaseUnavailable("all connections to the database are in use") from error
    except DBAPIError as error:
        if "unable to open database file" in str(error.orig):
            raise DatabaseUnavailable(
                "there is no database, or this account may not open it; the first start of the node makes it"
            ) from error
        if getattr(error.orig, "sqlstate", None) in _ENDED_FOR_ANOTHER:
            raise TransactionEnded(f"the database ended this so that another could go on: {error.orig}") from error
        if error.connection_invalidated or type(error).__name__ in _NOT_OUR_MISTAKE:
            raise DatabaseUnavailable(f"the database does not answer: {error.orig}") from error
        raise
