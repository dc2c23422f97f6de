"""What a migration asks a PostgreSQL that is in use: what adds, and what the version before could not bear."""

from __future__ import annotations

import importlib.util
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alembic.migration import MigrationContext
from alembic.operations import Operations

if TYPE_CHECKING:
    from pathlib import Path

_ADDS_COLUMN = re.compile(r"ALTER TABLE \w+ ADD COLUMN (?P<column>.*)")
_MAKES_TABLE = re.compile(r"CREATE TABLE (?P<table>\w+)")
_MAKES_INDEX = re.compile(r"CREATE (?P<unique>UNIQUE )?INDEX (?P<online>CONCURRENTLY )?\w+ ON (?P<table>\w+)")
_FILLS = re.compile(r"(?:INSERT INTO|UPDATE) (?P<table>\w+)")
_FLOOR = re.compile(r"UPDATE schema_floor SET revision='(?P<revision>\w+)'")
_NOTHING = re.compile(r"(BEGIN|COMMIT|SET lock_timeout|DROP INDEX CONCURRENTLY IF EXISTS|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """takes_away: statements that the code before may not bear, or that hold up who writes. floor: as it is raised."""

    takes_away: list[str]
    floor: str | None


def steps_of(path: Path) -> Steps:
    """Those of the upgrade of this migration."""
    return judged(asked_by(path))


def asked_by(path: Path) -> list[str]:
    """The statements of the upgrade of this migration, as PostgreSQL would get them."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    said = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": said, "literal_binds": True}
    )
    with Operations.context(context), context.begin_transaction():
        module.upgrade()
    return [" ".join(each.split()) for each in said.getvalue().split(";")]


def judged(statements: list[str]) -> Steps:
    """Which of them are no addition; a table that they make themselves is nobody else's yet."""
    made = {found["table"] for each in statements if (found := _MAKES_TABLE.match(each))}
    floors = [found["revision"] for each in statements if (found := _FLOOR.match(each))]
    wrong = [each for each in statements if not _FLOOR.match(each) and not _adds(each, made)]
    online = [each for each in statements if (found := _MAKES_INDEX.match(each)) and found["online"]]
    if online and any(not _NOTHING.match(each) and each not in online for each in statements):
        wrong += online  # what stands beside it would be there already when it is tried again
    return Steps(takes_away=wrong, floor=floors[-1] if floors else None)


def _adds(statement: str, made: set[str]) -> bool:
    if _NOTHING.match(statement) or _MAKES_TABLE.match(statement):
        return True
    if found := _ADDS_COLUMN.match(statement):
        column = found["column"]
        return "NOT NULL" not in column or "DEFAULT" in column
    if found := _MAKES_INDEX.match(statement):
        return found["table"] in made or bool(found["online"] and not found["unique"])
    found = _FILLS.match(statement)
    return bool(found) and found["table"] in made
