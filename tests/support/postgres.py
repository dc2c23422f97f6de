"""A PostgreSQL cluster of the test's own: unprivileged, on loopback, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psycopg
from psycopg import sql

from support.network import free_port
from support.processes import Program, missing, required
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

INSTALLED = Path("/usr/lib/postgresql")  # Debian keeps the server's programs out of PATH, by version
USER = "postgres"


class Cluster:
    """A server with nothing in it; `create` makes databases. It trusts loopback and flushes nothing."""

    def __init__(self) -> None:
        self._programs = _programs()
        # Not below pytest's own folder: that one is closed to the user the server runs as.
        self._folder = Path(tempfile.mkdtemp(prefix="radnode-postgres-"))
        self._made = 0
        self.port = free_port()

    def __enter__(self) -> Self:
        if os.geteuid() == 0:
            user = pwd.getpwnam(USER)
            os.chown(self._folder, user.pw_uid, user.pw_gid)
        data = self._folder / "data"
        made = subprocess.run(
            [*_unprivileged(), self._programs / "initdb", "-D", data, "-U", USER,
             "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"],
            cwd=self._folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert made.returncode == 0, made.stdout + made.stderr
        self._server = Program(
            [*_unprivileged(), self._programs / "postgres", "-D", data, "-p", str(self.port),
             "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
             "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=200"],
            self._folder / "postgres.log",
        )  # fmt: skip
        eventually(self._answers, within=30, why=self._server.tail)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.send_signal(signal.SIGINT)  # "fast": open connections are closed, not waited for
        self._server.stop()
        shutil.rmtree(self._folder)

    def create(self) -> str:
        """A database of its own; its name."""
        self._made += 1
        name = f"radnode_{self._made}"
        self._execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return name

    def drop(self, name: str) -> None:
        """Delete a database, whoever is connected to it."""
        self._execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def clear(self, name: str, tables: Sequence[str]) -> None:
        """Delete the rows of these tables, in this order, and number from 1 again.

        Faster than TRUNCATE, which makes new files. A test that left a transaction open fails here.
        """
        deletions = [sql.SQL("DELETE FROM {};").format(sql.Identifier(table)) for table in tables]
        number_again = sql.SQL("SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'")
        self._execute(
            sql.SQL("SET lock_timeout = '5s';") + sql.SQL("").join(deletions) + number_again, database=name
        )

    def end_connections(self, name: str) -> None:
        """What a restart of the server does to whoever is connected."""
        self._execute(
            sql.SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}").format(name)
        )

    def url(self, name: str) -> str:
        """For :class:`radnode.storage.database.Database`."""
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/{name}"

    def _execute(self, statement: sql.Composed, database: str = USER) -> None:
        with self._connected(database) as connection:
            connection.execute(statement)

    def _connected(self, database: str = USER) -> psycopg.Connection:
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=USER, dbname=database, autocommit=True, connect_timeout=2
        )

    def _answers(self) -> bool:
        assert self._server.ended is None, self._server.tail()
        try:
            self._connected().close()
        except psycopg.OperationalError:
            return False
        return True


def _programs() -> Path:
    versions = sorted(INSTALLED.glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if not versions:
        missing("PostgreSQL is not installed: apt-get install postgresql")
    return versions[-1].parent


def _unprivileged() -> list[str | Path]:
    """The server refuses to run as root."""
    if os.geteuid() != 0:
        return []
    return [required("setpriv"), f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
