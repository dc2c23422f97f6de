"""The two databases radnode runs on, each giving every test one of its own."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from alembic import command
from alembic.config import Config
from sqlalchemy import Boolean, DateTime, Integer, LargeBinary, MetaData, String, insert

from radnode.storage.database import Database
from radnode.storage.tables import Base
from support.postgres import Cluster
from support.rows import NOW

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from sqlalchemy import Table


CHAIN = ("studies", "series", "jobs", "result_objects", "deliveries")
"""Each has the one before among what it refers to."""


class Databases(Protocol):
    """`empty` lends the URL of a database without a schema, `migrated` one with the tables; both gone afterwards."""

    def empty(self) -> AbstractContextManager[str]:
        """The URL of a database with nothing in it."""
        ...

    def migrated(self) -> AbstractContextManager[str]:
        """The URL of a database that was upgraded and has no row."""
        ...


class SqliteDatabases:
    """Files in a folder. The schema is made once and copied."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = 0
        self._template = folder / "template.db"
        _upgrade(f"sqlite:///{self._template}")

    @contextmanager
    def empty(self) -> Iterator[str]:
        """The URL of a database with nothing in it."""
        yield f"sqlite:///{self._next()}"

    @contextmanager
    def migrated(self) -> Iterator[str]:
        """The URL of a database that was upgraded and has no row."""
        path = self._next()
        shutil.copyfile(self._template, path)
        yield f"sqlite:///{path}"

    def _next(self) -> Path:
        self._made += 1
        return self._folder / f"{self._made}.db"


class PostgresDatabases:
    """Databases of one cluster. Emptying one is much faster than making one, so migrated ones are lent again."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._free: list[str] = []

    @contextmanager
    def empty(self) -> Iterator[str]:
        """The URL of a database with nothing in it."""
        name = self.cluster.create()
        yield self.cluster.url(name)
        self.cluster.drop(name)

    @contextmanager
    def migrated(self) -> Iterator[str]:
        """The URL of a database that was upgraded and has no row."""
        name = self._free.pop() if self._free else self._make()
        yield self.cluster.url(name)
        self.cluster.clear(name, [table.name for table in reversed(Base.metadata.sorted_tables)])
        self._free.append(name)

    def _make(self) -> str:
        name = self.cluster.create()
        _upgrade(self.cluster.url(name))
        return name


@contextmanager
def databases_of(dialect: str, folder: Path) -> Iterator[Databases]:
    """Databases of "sqlite" or "postgresql"."""
    if dialect == "sqlite":
        yield SqliteDatabases(folder)
        return
    with Cluster() as cluster:
        yield PostgresDatabases(cluster)


def a_node_of_the_first_version(database: Database) -> None:
    """Fill an empty database as a node of the first version that has delivered a result left it."""
    config = Config()
    config.set_main_option("script_location", "radnode:storage/migrations")
    with database.engine.connect() as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    tables = MetaData()
    tables.reflect(database.engine)
    with database.engine.connect() as connection, connection.begin():
        for name in CHAIN:
            connection.execute(insert(tables.tables[name]).values(needed_values(tables.tables[name])))


def needed_values(table: Table) -> dict[str, Any]:
    """A first row: what has to be there, and 1 wherever a row is named."""
    return {column.name: _value(column) for column in table.columns if not column.nullable}


def _upgrade(url: str) -> None:
    database = Database(url)
    database.upgrade()
    database.close()


def _value(column: Any) -> Any:
    for kind, value in ((Boolean, False), (Integer, 1), (DateTime, NOW), (String, "SEG"), (LargeBinary, b"")):
        if isinstance(column.type, kind):
            return value
    return []
