"""A node that has worked is brought up to date with everything it knows."""

from __future__ import annotations

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text
from support.databases import a_node_of_the_first_version

from radnode.storage.database import Database


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
