"""Versions of the configuration file, appended and never changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from radnode.storage.configuration_tables import ConfigurationVersionRow as Row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from typing import Any

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """Who changed the configuration file, when and why. digest: SHA-256 of the whole text."""

    version_id: int
    at: datetime
    author: str
    note: str
    digest: str


_COLUMNS = (Row.id, Row.at, Row.author, Row.note, Row.digest)


def append(session: Session, *, at: datetime, author: str, note: str, digest: str, text: str) -> Version:
    """A new version, the newest."""
    row = Row(at=at, author=author, note=note, digest=digest, text=text)
    session.add(row)
    session.flush()
    return Version(version_id=row.id, at=at, author=row.author, note=row.note, digest=digest)


def newest(session: Session, limit: int, before: int | None = None) -> list[Version]:
    """The newest first; `before`: those with a smaller number."""
    statement = select(*_COLUMNS).order_by(Row.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(Row.id < before)
    return _versions(session.execute(statement).all())


def version(session: Session, version_id: int) -> tuple[Version, str] | None:
    """A version with its text; None if there is no such number."""
    found = session.execute(select(*_COLUMNS, Row.text).where(Row.id == version_id)).one_or_none()
    return None if found is None else (_versions([found])[0], str(found.text))


def _versions(rows: Sequence[Any]) -> list[Version]:
    return [
        Version(version_id=row.id, at=row.at, author=row.author, note=row.note, digest=row.digest) for row in rows
    ]
