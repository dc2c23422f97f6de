"""A node that has worked is brought up to date with everything it knows."""

from __future__ import annotations

from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Boolean, DateTime, Integer, MetaData, String, insert, text
from support.rows import NOW

from radnode.storage.database import Database

CHAIN = ("studies", "series", "jobs", "result_objects", "deliveries")
"""Each has the one before among what it refers to."""


def _value(column: Any) -> Any:
    for kind, value in ((Boolean, False), (Integer, 1), (DateTime, NOW), (String, "SEG")):
        if isinstance(column.type, kind):
            return value
    return []


@pytest.fixture
def worked(empty_url: str) -> Database:
    """A node of the first version that has delivered a result."""
    database = Database(empty_url)
    config = Config()
    config.set_main_option("script_location", "radnode:storage/migrations")
    with database.engine.connect() as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    tables = MetaData()
    tables.reflect(database.engine)
    with database.engine.connect() as connection, connection.begin():
        for name in CHAIN:
            needed = [column for column in tables.tables[name].columns if not column.nullable]
            connection.execute(
                insert(tables.tables[name]).values({column.name: _value(column) for column in needed} | {"id": 1})
            )
    return database


def test_a_node_with_results_and_deliveries_is_brought_up_to_date_and_keeps_them(worked: Database) -> None:
    worked.upgrade()
    with worked.read() as session:
        assert session.execute(text("SELECT id, name, form FROM result_objects")).all() == [(1, "SEG", "SEG")]
        assert session.execute(text("SELECT result_object_id FROM deliveries")).all() == [(1,)]
    worked.close()


def test_a_node_with_results_and_deliveries_can_go_back(worked: Database) -> None:
    worked.upgrade()
    config = Config()
    config.set_main_option("script_location", "radnode:storage/migrations")
    with worked.engine.connect() as connection, connection.begin():
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
    worked.upgrade()
    with worked.read() as session:
        assert session.execute(text("SELECT name FROM result_objects")).all() == [("SEG",)]
    worked.close()
