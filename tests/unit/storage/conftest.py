"""Every test of the tables runs on both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.databases import databases_of

from radnode.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.databases import Databases


@pytest.fixture(scope="session", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.peer)])
def databases(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """SQLite, and PostgreSQL where it is installed."""
    with databases_of(request.param, tmp_path_factory.mktemp(request.param)) as found:
        yield found


@pytest.fixture
def empty_url(databases: Databases) -> Iterator[str]:
    """A database without a schema."""
    with databases.empty() as url:
        yield url


@pytest.fixture
def url(databases: Databases) -> Iterator[str]:
    """A database with the tables and no row."""
    with databases.migrated() as found:
        yield found


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """The same, open."""
    opened = Database(url)
    yield opened
    opened.close()
