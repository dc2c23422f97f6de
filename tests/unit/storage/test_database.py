from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select, text
from support.rows import NOW, receive, reception

from radnode.storage import schema
from radnode.storage.database import Database
from radnode.storage.errors import DatabaseUnavailable, SchemaTooNew
from radnode.storage.tables import Base, InstanceRow, StudyRow

if TYPE_CHECKING:
    from pathlib import Path


def _tables(database: Database) -> set[str]:
    return set(inspect(database.engine).get_table_names())


def test_the_migrations_make_exactly_the_tables_of_the_code(empty_url: str) -> None:
    database = Database(empty_url)
    database.upgrade()
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    database.close()


def test_each_revision_is_the_number_its_file_begins_with_and_the_newest_is_the_last() -> None:
    config = Config()
    config.set_main_option("script_location", "radnode:storage/migrations")
    script = ScriptDirectory.from_config(config)
    assert [each.revision for each in reversed(list(script.walk_revisions()))] == schema.known()
    assert script.get_current_head() == schema.known()[-1]


def test_upgrading_again_changes_nothing(database: Database) -> None:
    receive(database, reception())
    database.upgrade()
    with database.read() as session:
        assert session.scalar(select(InstanceRow.receptions)) == 1


@pytest.mark.catalogue("C13")
def test_a_newer_schema_is_refused_by_name(empty_url: str) -> None:
    database = Database(empty_url)
    database.upgrade()
    with database.begin() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        session.execute(text("UPDATE schema_floor SET revision = '9999'"))
    with pytest.raises(SchemaTooNew, match="9999"):
        database.upgrade()
    database.close()


def test_nodes_that_start_together_migrate_once(empty_url: str) -> None:
    def start(_: int) -> int:
        database = Database(empty_url)
        try:
            database.upgrade()
            return len(_tables(database))
        finally:
            database.close()

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(start, range(4))) == {len(Base.metadata.tables) + 1}


@pytest.mark.catalogue("C13")
def test_a_migration_that_fails_leaves_no_table(empty_url: str) -> None:
    database = Database(empty_url)
    with database.engine.begin() as connection:
        connection.execute(text("CREATE TABLE deliveries (id INTEGER)"))  # the last table the migration makes
    with pytest.raises(Exception, match="deliveries"):
        database.upgrade()
    assert _tables(database) == {"deliveries"}
    database.close()


def test_what_an_error_interrupts_is_not_written(database: Database) -> None:
    def write_and_fail() -> None:
        with database.begin() as session:
            session.add(_study())
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    with database.read() as session:
        assert session.scalar(select(StudyRow.id)) is None


def test_nothing_written_in_a_reading_session_is_kept(database: Database) -> None:
    with database.read() as session:
        session.add(_study())
        session.flush()
    with database.read() as session:
        assert session.scalar(select(StudyRow.id)) is None


def test_a_reading_session_sees_one_instant(database: Database) -> None:
    with database.read() as session:
        before = session.scalars(select(StudyRow.id)).all()
        receive(database, reception())
        assert session.scalars(select(InstanceRow.id)).all() == before == []


def test_times_are_aware_utc_and_naive_ones_are_refused(database: Database) -> None:
    receive(database, reception())
    with database.read() as session:
        assert session.scalar(select(InstanceRow.received_at)) == NOW
    with pytest.raises(Exception, match="without timezone"):
        receive(database, reception(2, at=NOW.replace(tzinfo=None)))


def test_writers_in_many_threads_take_turns(database: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: receive(database, reception(number)), range(40)))
    with database.read() as session:
        assert len(session.scalars(select(InstanceRow.id)).all()) == 40


def test_a_folder_that_is_not_there_is_an_unavailable_database(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'missing' / 'radnode.db'}")
    with pytest.raises(DatabaseUnavailable), database.begin() as session:
        session.execute(text("SELECT 1"))
    database.close()


def test_a_file_that_is_no_database_is_an_unavailable_database(tmp_path: Path) -> None:
    path = tmp_path / "radnode.db"
    path.write_bytes(b"not a database, surely" * 100)
    database = Database(f"sqlite:///{path}")
    with pytest.raises(DatabaseUnavailable):
        database.upgrade()
    database.close()


def test_sqlite_flushes_every_commit_and_checks_references(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'radnode.db'}")
    with database.read() as session:
        journal_mode, synchronous, foreign_keys = (
            session.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous", "foreign_keys")
        )
    database.close()
    assert (journal_mode, synchronous, foreign_keys) == ("wal", 2, 1)


def _study() -> StudyRow:
    return StudyRow(study_instance_uid="1.2", patient_id="", first_received_at=NOW, last_received_at=NOW)
