"""Several nodes or receivers on one PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.databases import PostgresDatabases
from support.postgres import Cluster
from support.receivers import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.node import NodeProcess
    from support.pacs import StandInPacs


@pytest.fixture
def url() -> Iterator[str]:
    """A PostgreSQL database, there for longer than who works on it."""
    with Cluster() as cluster, PostgresDatabases(cluster).empty() as made:
        yield made


@pytest.fixture
def site(url: str, tmp_path: Path, pacs: StandInPacs, start_node: Callable[..., NodeProcess]) -> Iterator[Site]:
    """No receiver yet."""
    made = Site(tmp_path, url, pacs, start_node)
    yield made
    made.database.close()
