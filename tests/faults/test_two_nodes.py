"""Two nodes on one folder or on one database: the second does not start, and who lost his place goes."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update
from support.node import RADNODE, NodeProcess, archive
from support.processes import Program
from support.waiting import eventually

from radnode.node.execution.dispatcher import HEARTBEAT_EVERY_S
from radnode.storage.database import Database
from radnode.storage.tables import NodeLease

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.peer, pytest.mark.slow]

REFUSED = 2
"""Exit status of a start that was refused with its reason; a node that ends for another reason is started again."""


@contextlib.contextmanager
def beginning(folder: Path, **settings: str) -> Iterator[Program]:
    """A node that is started and not waited for."""
    node = NodeProcess(folder, peers=[archive(104)], settings=settings)
    program = Program([RADNODE, "serve", "--config", node.config], folder / "node.log")
    try:
        yield program
    finally:
        program.stop()


@pytest.mark.alone("several receivers may work on one database")
def test_K17_of_two_nodes_on_one_database_one_works(
    url: str, start_node: Callable[..., NodeProcess], tmp_path: Path
) -> None:
    """Also when the first was frozen so long that the second rightly took its place: it ends when it wakes."""
    first = start_node(peers=[archive(104)], settings={"database_url": url})
    with beginning(tmp_path / "second", database_url=url) as refused:
        eventually(lambda: refused.ended is not None, within=60, why=refused.tail)
        assert refused.ended == REFUSED
        assert "another node works on this database" in refused.tail()

    first.pause()
    _let_its_lease_end(url)
    start_node(peers=[archive(104)], settings={"database_url": url})
    first.resume()

    eventually(lambda: not first.running, within=HEARTBEAT_EVERY_S + 20, why=first.log)
    assert "node.lost_its_database" in first.log()


def _let_its_lease_end(url: str) -> None:
    """What a minute does."""
    database = Database(url)
    with database.begin() as session:
        session.execute(update(NodeLease).values(lease_until=database.now()))
    database.close()
