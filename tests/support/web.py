"""The HTTP application of a node without the node: its routes, its gate, a database of its own."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from argon2 import PasswordHasher
from fastapi.testclient import TestClient

from radnode.config.loading import load, parse
from radnode.node.alarms import Alarms
from radnode.node.answers import Answers
from radnode.node.intake.associations import Associations
from radnode.node.observability import Metrics
from radnode.node.security import passwords, roster
from radnode.node.service import Node
from radnode.node.web.api import create_app
from radnode.node.web.composing import WebAccess
from radnode.storage.database import Database
from radnode.storage.quarantine import Quarantine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta
    from pathlib import Path

    from fastapi import FastAPI

    from radnode.config.loading import Configuration


PASSWORD = "a long enough secret"  # noqa: S105 - of nobody


@contextmanager
def quick_passwords() -> Iterator[None]:
    """Hashes that take no time, for tests that are not about them."""
    kept, passwords._hasher = passwords._hasher, PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    yield
    passwords._hasher = kept


@dataclass
class Site:
    """The application and what is behind it. `now` is a clock that tests may move."""

    app: FastAPI
    access: WebAccess
    database: Database
    configuration: Configuration
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def client(
        self, token: str | None = None, *, base: str = "https://testserver", address: str = "10.1.2.3"
    ) -> TestClient:
        """A browser, or with a token a machine. No redirect is followed."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return TestClient(self.app, base_url=base, headers=headers, follow_redirects=False, client=(address, 40000))

    def token(self, role: str, name: str | None = None, days: int = 1) -> str:
        """A new API token."""
        with self.database.begin() as session:
            return roster.add_token(session, name or f"{role}-machine", role, self.now, days)

    def link(self, name: str, role: str | None = None) -> str:
        """The path of a one-time link; with a role, of a new account."""
        with self.database.begin() as session:
            secret = roster.add_user(session, name, role, self.now) if role else roster.link(session, name, self.now)
        return f"/link/{secret}"

    def logged_in(self, name: str, role: str) -> TestClient:
        """A browser in a session of a new account with this password."""
        client, password = self.client(), PASSWORD
        answer = client.post(self.link(name, role), data={"password": password, "again": password})
        assert answer.status_code == 303, answer.text
        return client

    def wait(self, time: timedelta) -> None:
        """Move the clock."""
        self.now += time


@contextmanager
def whole_site(folder: Path, more: str = "") -> Iterator[Site]:
    """Every route that a node serves: its own application, of a node that was constructed and not started.

    more: sections of the configuration beside `node`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data").mkdir()
    text = f"node: {{data: {folder / 'data'}, http_port: 0, dicom_port: 0, host: 127.0.0.1}}"
    file = folder / "radnode.yaml"
    file.write_text(f"{text}\n{more}", encoding="utf-8")
    node = Node(load(file))
    node.database.upgrade()
    yield Site(node._http.app, node._access, node.database, node.configuration)
    node._http.stop()
    node._reader.close()
    node._dicomweb_out.close()
    node.database.close()


@contextmanager
def site(folder: Path, text: str = "") -> Iterator[Site]:
    """text: sections of a configuration beside `node`."""
    configuration = parse(f"node: {{data: {folder}}}\n{text}", "site.yaml")
    database = Database(f"sqlite:///{folder / 'site.db'}")
    database.upgrade()
    alarms = Alarms(lambda: datetime.now(UTC))
    answers = Answers(database, alarms, list, list, Quarantine(folder / "quarantine"))
    made: list[Site] = []
    access = WebAccess(database=database, configuration=lambda: made[0].configuration if made else configuration,
                       alarms=alarms, associations=Associations(lambda: None), strangers=dict,
                       now=lambda: made[0].now)
    made.append(Site(access.protect(create_app(answers, Metrics())), access, database, configuration))
    yield made[0]
    database.close()
