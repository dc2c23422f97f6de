"""Bringing the tables up to date while receivers of the version before go on working on them.

After ONLINE_SINCE a migration only adds, or takes away what the version before does not use any more, and then says by
:func:`raise_floor` who can still work on the tables. docs/decisions/011 is the rule, tests/architecture/
test_migrations.py holds every migration to it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from alembic import command, op
from alembic.config import Config
from sqlalchemy import text, update
from sqlalchemy.exc import OperationalError

from radnode.storage import schema
from radnode.storage.errors import DatabaseUnavailable, SchemaTooNew

if TYPE_CHECKING:
    from sqlalchemy import Connection

ONLINE_SINCE = "0024"
"""Up to this one migrations assume that nobody else works on the tables."""
NUMBER = 0x72616E64
"""Any number, the same in every node: the PostgreSQL advisory lock that lets one process migrate at a time."""
LOOK_EVERY_S = 0.2
LOCKED_AT_MOST_MS = 500
"""So long a step waits for a table, since whoever wants it next waits behind. Below `deadlock_timeout`, so that the
migration gives way and not a receiver, and far below the time for which an archive waits for an answer."""
TRIES = 300
_LOCK_NOT_AVAILABLE = "55P03"


def upgrade(connection: Connection) -> None:
    """Make the tables or add what they lack, one process at a time. Raises SchemaTooNew, DatabaseUnavailable."""
    if connection.dialect.name == "sqlite":
        with connection.begin():
            _to(connection, "head")
        return
    while not connection.execute(text("SELECT pg_try_advisory_lock(:number)"), {"number": NUMBER}).scalar():
        connection.commit()  # an index that is made waits for every transaction, also for one that waits
        time.sleep(LOOK_EVERY_S)
    try:
        connection.commit()
        with connection.begin():
            _to(connection, ONLINE_SINCE)
        _step_by_step(connection)
    finally:
        connection.invalidate()  # with it end the lock and the settings


def create_index(name: str, table: str, columns: list[str], **options: Any) -> None:
    """In a migration of its own: an index of a table that is written to meanwhile. Begun anew where it was cut off."""
    if op.get_context().dialect.name != "postgresql":
        op.create_index(name, table, columns, **options)
        return
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")  # it waits for transactions to end, and nobody waits behind
        op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)
        op.create_index(name, table, columns, postgresql_concurrently=True, **options)
        op.execute(f"SET lock_timeout = {LOCKED_AT_MOST_MS}")


def raise_floor(revision: str) -> None:
    """In a migration that takes something away: the code of this revision was the first not to need it."""
    op.execute(update(schema.SchemaFloorRow).values(revision=revision))


def _step_by_step(connection: Connection) -> None:
    """Each migration a transaction that lets go of what it cannot have soon, and is tried again."""
    connection.execute(text(f"SET lock_timeout = {LOCKED_AT_MOST_MS}"))
    connection.commit()
    for _ in range(TRIES):
        try:
            _to(connection, "head")
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", "") != _LOCK_NOT_AVAILABLE:
                raise
            connection.rollback()
            time.sleep(LOOK_EVERY_S)
        else:
            connection.commit()
            return
    raise DatabaseUnavailable("the tables cannot be brought up to date: somebody holds one of them in a transaction "
                              "that does not end; look for it in pg_stat_activity")


def _to(connection: Connection, revision: str) -> None:
    """Upgrade to this revision, if the tables are not there or beyond already."""
    within = connection.in_transaction()
    found, state = schema.found(connection), schema.compared(connection)
    if not within:
        connection.rollback()  # what was begun by looking; each migration begins its own
    if state == "newer":
        raise SchemaTooNew(str(found))
    if state in ("none", "older"):
        config = _alembic()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", "radnode:storage/migrations")
    return config
