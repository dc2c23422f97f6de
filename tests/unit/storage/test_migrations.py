"""A node that has worked is brought up to date with everything it knows, and a version before bears what was added."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import MetaData, func, insert, select, text
from support.databases import a_node_of_the_first_version, needed_values
from support.next_version import ADDS, INDEXES, TAKES_AWAY, revisions, write_migrations
from support.rows import receive, reception

from radnode.storage import migrating, schema
from radnode.storage.database import Database
from radnode.storage.errors import DatabaseUnavailable, SchemaTooNew
from radnode.storage.tables import InstanceRow

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection


@pytest.fixture
def worked(empty_url: str) -> Database:
    """A node of the first version that has delivered a result."""
    database = Database(empty_url)
    a_node_of_the_first_version(database)
    return database


def test_a_node_with_results_and_deliveries_is_brought_up_to_date_and_keeps_them(worked: Database) -> None:
    worked.upgrade()
    with worked.read() as session:
        assert session.execute(text("SELECT id, name, form FROM result_objects")).all() == [(1, "SEG", "SEG")]
        assert session.execute(text("SELECT result_object_id FROM deliveries")).all() == [(1,)]
    worked.close()


def test_every_migration_goes_up_and_down_with_a_row_in_every_table(empty_url: str) -> None:
    """What both sides of a step have is the same after going there and back."""
    database = Database(empty_url)
    before = "base"
    for revision in revisions():
        _to(database, revision)
        _fill(database)
        there = _rows(database)
        _to(database, before, down=True)
        kept = _rows(database)
        assert {table: there[table] for table in kept} == kept
        _to(database, revision)
        assert _rows(database).keys() == there.keys()
        _fill(database)
        before = revision
    assert database.schema() == "current"
    assert set(_rows(database).values()) == {1}
    database.close()


def test_this_version_works_on_tables_to_which_a_newer_one_added(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = _as_left_by_a_newer_version(empty_url, tmp_path, monkeypatch, ADDS, INDEXES)
    assert database.schema() == "expanded"
    assert database.is_usable()
    database.upgrade()
    receive(database, reception())
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(InstanceRow)) == 1
        assert session.scalar(text("SELECT site FROM instances")) == "here"
    database.close()


def test_this_version_does_not_touch_tables_from_which_too_much_was_taken(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = _as_left_by_a_newer_version(empty_url, tmp_path, monkeypatch, ADDS, TAKES_AWAY)
    assert database.schema() == "newer"
    assert not database.is_usable()
    with pytest.raises(SchemaTooNew, match="restore the back-up"):
        database.upgrade()
    database.close()


def test_a_step_waits_for_who_writes_and_nobody_waits_for_it(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody's transaction does not end: others go on writing, nothing is half changed, and it is said."""
    database = Database(empty_url)
    database.upgrade()
    if database.engine.name == "sqlite":
        pytest.skip("SQLite has one writer at a time, and a node that is alone")
    receive(database, reception(1))
    _with_newer_migrations(tmp_path, monkeypatch, ADDS)
    monkeypatch.setattr(migrating, "TRIES", 2)
    with database.engine.connect() as other, other.begin():
        other.execute(text("UPDATE instances SET receptions = 2"))
        with pytest.raises(DatabaseUnavailable, match="pg_stat_activity"):
            database.upgrade()
        assert database.schema() == "older"
        receive(database, reception(2))
    database.upgrade()
    assert database.schema() == "current"
    database.close()


def test_an_index_that_was_cut_off_is_made_anew(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(empty_url)
    database.upgrade()
    _with_newer_migrations(tmp_path, monkeypatch, ADDS)
    database.upgrade()
    if database.engine.name == "postgresql":
        with database.begin() as session:
            session.execute(text("CREATE INDEX ix_instances_site ON instances (site)"))  # a part of the new one
    _with_newer_migrations(tmp_path, monkeypatch, ADDS, INDEXES)
    database.upgrade()
    with database.read() as session:
        said = session.connection().dialect.get_indexes(session.connection(), "instances")
    assert {each["name"]: each["column_names"] for each in said}["ix_instances_site"] == ["site", "received_at"]
    database.close()


def _as_left_by_a_newer_version(
    url: str, folder: Path, monkeypatch: pytest.MonkeyPatch, *migrations: str
) -> Database:
    database = Database(url)
    with monkeypatch.context() as newer:
        _with_newer_migrations(folder, newer, *migrations)
        database.upgrade()
    return database


def _with_newer_migrations(folder: Path, monkeypatch: pytest.MonkeyPatch, *migrations: str) -> None:
    write_migrations(folder, *migrations)
    ours = migrating._alembic

    def theirs() -> Config:
        config = ours()
        config.set_main_option("path_separator", "newline")
        config.set_main_option("version_locations", f"radnode:storage/migrations/versions\n{folder}")
        return config

    monkeypatch.setattr(migrating, "_alembic", theirs)
    monkeypatch.setattr(schema, "FOLDERS", (*schema.FOLDERS[:1], folder))


def _to(database: Database, revision: str, *, down: bool = False) -> None:
    with database.engine.connect() as connection, connection.begin():
        (command.downgrade if down else command.upgrade)(_config(connection), revision)


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", "radnode:storage/migrations")
    config.attributes["connection"] = connection
    return config


def _reflected(database: Database) -> MetaData:
    tables = MetaData()
    tables.reflect(database.engine)
    return tables


def _rows(database: Database) -> dict[str, int]:
    with database.read() as session:
        return {table.name: session.execute(select(func.count()).select_from(table)).scalar_one()
                for table in _reflected(database).sorted_tables if table.name != "alembic_version"}


def _fill(database: Database) -> None:
    """A row in every table that has none."""
    rows = _rows(database)
    empty = [table for table in _reflected(database).sorted_tables if rows.get(table.name) == 0]
    with database.engine.connect() as connection, connection.begin():
        for table in empty:
            connection.execute(insert(table).values(needed_values(table)))
