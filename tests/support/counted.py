"""SQL statements, counted: what a database is asked, not how fast it answers."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from radnode.storage.database import Database


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    """What is sent meanwhile; many rows in one statement are one, where a transaction begins and ends is none."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("BEGIN"):
            sent.append(" ".join(statement.split())[:100])

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(database.engine, "before_cursor_execute", note)
