"""What the nodes of a test stand on: one machine each, with SQLite in its folder; or, on request, a cluster.

With RADNODE_TEST_CLUSTER set, the tests of the fault suite run on PostgreSQL, every node has a second receiver beside
it on the same folder, and its jobs run on a Ray head with three machines (tests/faults/conftest.py).
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from support.network import free_port
from support.ray_head import Head

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from support.databases import PostgresDatabases
    from support.ray_head import Machine

ASKED = "RADNODE_TEST_CLUSTER" in os.environ
MACHINES = 3
NAMES = ("a", "b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a node's configuration and environment get beside what the test says. second: the same for a receiver
    beside it, which shares its data; None on one machine. machines: where its jobs run, if that is not here.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    second: Standing | None = None
    machines: Sequence[Machine] = ()


class Cluster:
    """Databases and Ray heads of one test."""

    def __init__(self, databases: PostgresDatabases, running: ExitStack) -> None:
        self._databases = databases
        self._running = running

    def database_url(self) -> str:
        """Of a database with nothing in it."""
        return self._running.enter_context(self._databases.empty())

    def stand(self, data: Path, settings: Mapping[str, Any], environment: Mapping[str, str], *, jobs: bool) -> Standing:
        """Two receivers on these data, and three machines for their jobs, if there are to be any."""
        shared: dict[str, Any] = {"database_url": self.database_url(), "data": str(data)}
        shown: dict[str, str] = {}
        machines: list[Machine] = []
        if jobs:
            head = self._running.enter_context(Head(environment, cpus=0))
            for machine in map(head.machine, range(MACHINES)):
                self._running.callback(machine.kill)
                machine.launch()
                machines.append(machine)
            workers = settings.get("workers", [{"memory_limit": "2 GB"}] * MACHINES)
            shared |= {"ray": {"address": head.address}, "workers": workers}
            shown = head.shown
        own = {"dicomweb": {**settings["dicomweb"], "port": free_port()}} if "dicomweb" in settings else {}
        first, second = ({**shown, "RADNODE_RECEIVER": name} for name in NAMES)
        return Standing(
            settings=shared, environment=first, machines=machines,
            second=Standing(settings={**shared, **own}, environment={**environment, **second}),
        )


_cluster: Cluster | None = None


@contextmanager
def on_cluster(databases: PostgresDatabases) -> Iterator[None]:
    """Whatever is made meanwhile and brings no database of its own stands on a cluster."""
    global _cluster  # noqa: PLW0603 - tests make nodes in many places, and are not to know
    with ExitStack() as running:
        _cluster = Cluster(databases, running)
        try:
            yield
        finally:
            _cluster = None


def under(
    data: Path, settings: Mapping[str, Any], environment: Mapping[str, str], routes: Sequence[object]
) -> Standing:
    """What a node with these settings stands on."""
    if _cluster is None or "database_url" in settings:
        return Standing()
    return _cluster.stand(data, settings, environment, jobs=bool(routes))


def database_url(folder: Path) -> str:
    """For a part of a node: of a database with nothing in it, in the folder if it is one of SQLite."""
    return f"sqlite:///{folder / 'radnode.db'}" if _cluster is None else _cluster.database_url()
