"""Which schema a database has, and which this version knows. Alembic is asked only when something is to be changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sqlalchemy import inspect, text

from radnode.storage.errors import SchemaTooNew

if TYPE_CHECKING:
    from sqlalchemy import Connection

Schema = Literal["none", "older", "current", "newer"]

_REVISIONS = Path(__file__).with_name("migrations") / "versions"


def known() -> list[str]:
    """The revisions of this version, oldest first: a file of each begins with its number."""
    return sorted(path.name.partition("_")[0] for path in _REVISIONS.glob("[0-9]*.py"))


def found(connection: Connection) -> str | None:
    """The revision that a database has; None where there is none yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision


def compared(connection: Connection) -> Schema:
    """How the schema of a database compares with this version's."""
    revision, revisions = found(connection), known()
    if revision is None:
        return "none"
    if revision == revisions[-1]:
        return "current"
    return "older" if revision in revisions else "newer"


def bring_up_to_date(connection: Connection) -> None:
    """Create the schema, or take the steps it lacks. Raises :class:`SchemaTooNew`."""
    match compared(connection):
        case "newer":
            raise SchemaTooNew(str(found(connection)))
        case "none" | "older":
            from radnode.storage.migrating import upgrade

            upgrade(connection)
