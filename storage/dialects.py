"""INSERT … ON CONFLICT, which both databases understand and SQL itself does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from radnode.storage.tables import Base


def insert_for(session: Session, table: type[Base]) -> Any:
    """The `insert` of the session's dialect: it has `on_conflict_do_nothing` and `on_conflict_do_update`."""
    name = session.get_bind().dialect.name
    return postgresql.insert(table) if name == "postgresql" else sqlite.insert(table)
