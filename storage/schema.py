"""Which schema a database has, and which this version knows. Alembic is asked only when something is to be changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sqlalchemy import String, inspect, select, text
from sqlalchemy.orm import Mapped, mapped_column

from radnode.storage.tables import Base

if TYPE_CHECKING:
    from sqlalchemy import Connection

Schema = Literal["none", "older", "current", "expanded", "newer"]
"""The tables as this version sees them. expanded: a newer version added to them, and this one can work on them."""

USABLE: tuple[Schema, ...] = ("current", "expanded")
"""On which this version can work."""

FOLDERS = (Path(__file__).with_name("migrations") / "versions",)


class SchemaFloorRow(Base):
    """One row: the oldest revision whose code can work on these tables. A version that does not know their revision
    has nothing else to ask.
    """

    __tablename__ = "schema_floor"

    revision: Mapped[str] = mapped_column(String(32), primary_key=True)


def known() -> list[str]:
    """The revisions of this version, oldest first: a file of each begins with its number."""
    return sorted(path.name.partition("_")[0] for folder in FOLDERS for path in folder.glob("[0-9]*.py"))


def found(connection: Connection) -> str | None:
    """The revision that a database has; None where there is none yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision


def compared(connection: Connection) -> Schema:
    """How the tables compare with this version's; nothing is changed."""
    revision, revisions = found(connection), known()
    if revision is None:
        return "none"
    if revision == revisions[-1]:
        return "current"
    if revision in revisions:
        return "older"
    return "expanded" if _floor(connection) in revisions else "newer"


def _floor(connection: Connection) -> str | None:
    if not inspect(connection).has_table(SchemaFloorRow.__tablename__):
        return None
    return connection.execute(select(SchemaFloorRow.revision)).scalar_one_or_none()
