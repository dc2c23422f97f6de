"""The version before goes on working while the tables are brought up to date, and after (docs/decisions/011)."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from support.expanding import judged, steps_of
from support.next_version import ADDS, INDEXES, TAKES_AWAY, revisions, write_migrations

import radnode
from radnode.storage.migrating import ONLINE_SINCE

VERSIONS = Path(radnode.__file__).parent / "storage" / "migrations" / "versions"
LAST_OF = {"0.1.0": "0024"}
"""The last migration of each release, the oldest release first."""


def _floors() -> dict[str, str]:
    """Revision -> the oldest one whose code can work on the tables after it."""
    floors, floor = {}, ONLINE_SINCE
    for revision in revisions()[revisions().index(ONLINE_SINCE):]:
        if revision != ONLINE_SINCE:
            floor = steps_of(_path(revision)).floor or floor
        floors[revision] = floor
    return floors


def _path(revision: str) -> Path:
    (found,) = VERSIONS.glob(f"{revision}_*.py")
    return found


def test_the_last_migration_of_each_release_is_written_down() -> None:
    assert LAST_OF[radnode.__version__] == revisions()[-1]


def test_the_tables_of_each_release_can_be_worked_on_by_the_release_before() -> None:
    floors = _floors()
    for (_, before), (release, last) in pairwise(LAST_OF.items()):
        assert floors[last] <= before, f"the release before {release} cannot work on its tables"


@pytest.mark.parametrize("revision", [each for each in revisions() if each > ONLINE_SINCE] or [None])
def test_a_migration_adds_or_says_who_can_bear_what_it_takes_away(revision: str | None) -> None:
    if revision is not None:
        found = steps_of(_path(revision))
        assert bool(found.takes_away) == bool(found.floor), found


def test_what_adds_is_told_from_what_takes_away(tmp_path: Path) -> None:
    adds, indexes, takes_away = map(steps_of, write_migrations(tmp_path, ADDS, INDEXES, TAKES_AWAY))
    assert (adds.takes_away, adds.floor) == ([], None)
    assert (indexes.takes_away, indexes.floor) == ([], None)
    assert takes_away.takes_away == ["DROP INDEX ix_ledger_events_kind"]
    assert takes_away.floor is not None


@pytest.mark.parametrize("statement", [
    "ALTER TABLE series ADD COLUMN site TEXT NOT NULL",
    "ALTER TABLE series DROP COLUMN source",
    "ALTER TABLE series ALTER COLUMN source SET NOT NULL",
    "ALTER TABLE series RENAME TO stacks",
    "ALTER TABLE series ADD CONSTRAINT one UNIQUE (source)",
    "CREATE INDEX ix ON series (source)",
    "CREATE UNIQUE INDEX CONCURRENTLY ix ON series (source)",
    "UPDATE series SET source=''",
    "DELETE FROM series",
])
def test_what_the_version_before_cannot_bear_or_who_writes_would_wait_for_is_no_addition(statement: str) -> None:
    assert judged(["BEGIN", statement, "COMMIT"]).takes_away == [statement]


@pytest.mark.parametrize("statements", [
    ["ALTER TABLE series ADD COLUMN site TEXT"],
    ["ALTER TABLE series ADD COLUMN site TEXT DEFAULT '' NOT NULL"],
    ["CREATE TABLE sites ( name TEXT )", "CREATE UNIQUE INDEX ix ON sites (name)",
     "INSERT INTO sites SELECT source FROM series"],
    ["CREATE INDEX CONCURRENTLY ix ON series (source)"],
])
def test_what_only_adds_is_an_addition(statements: list[str]) -> None:
    assert judged(["BEGIN", *statements, "COMMIT"]).takes_away == []


def test_an_index_that_is_made_online_has_a_migration_of_its_own() -> None:
    index = "CREATE INDEX CONCURRENTLY ix ON series (source)"
    assert judged(["ALTER TABLE series ADD COLUMN site TEXT", index]).takes_away == [index]
