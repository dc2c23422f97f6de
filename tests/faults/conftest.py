"""What several tests here stand on.

With RADNODE_TEST_CLUSTER set, a node of any of them is a cluster (support.ground), but where a test is marked `alone`,
which says why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import figures, ground
from support.databases import PostgresDatabases
from support.postgres import Cluster
from support.receivers import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.node import NodeProcess
    from support.pacs import StandInPacs


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How the suite went on a cluster; of a run of all of it."""
    if ground.ASKED and not terminalreporter.config.option.keyword:
        number = {how: len(terminalreporter.stats.get(how, ())) for how in ("passed", "failed", "error", "skipped")}
        figures.write_down("faults", **number)


@pytest.fixture(scope="session")
def _databases() -> Iterator[PostgresDatabases | None]:
    if not ground.ASKED:
        yield None
        return
    with Cluster() as cluster:
        yield PostgresDatabases(cluster)


@pytest.fixture(autouse=True)
def _on_what_is_asked_for(
    request: pytest.FixtureRequest, _databases: PostgresDatabases | None, _no_process_left_behind: None
) -> Iterator[None]:
    if _databases is None:
        yield
        return
    if alone := request.node.get_closest_marker("alone"):
        pytest.skip(f"not on a cluster: {alone.args[0]}")
    with ground.on_cluster(_databases):
        yield


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
