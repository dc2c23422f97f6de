"""Fixtures that only choose. A missing peer skips at the desk and fails where CI=true."""

from __future__ import annotations

import gc
import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from support import catalogue, goals, processes
from support.network import enter_private_network
from support.node import NodeProcess
from support.orthanc import Orthanc
from support.pacs import StandInPacs
from support.scheduling import pytest_xdist_make_scheduler  # noqa: F401 - a hook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = Path(__file__).resolve().parent.parent

settings.register_profile("desk", deadline=None)
settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "desk")


def pytest_configure() -> None:
    """Each test process, so each xdist worker too, has its own loopback; see support.network.

    Where the environment says not to keep what was compiled, every process of a node would compile all of it again.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    enter_private_network()
    processes.adopt_orphans()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marked tests are counted in their tables."""
    catalogue.trace(items)
    goals.trace(items)


def pytest_collection_finish() -> None:
    """What was imported and collected stays; the garbage collector need not look at it again in every test."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What `make goals` counted."""
    goals.count(terminalreporter)


@pytest.fixture(autouse=True)
def _no_process_left_behind() -> Iterator[None]:
    before = processes.children()
    yield
    left = processes.left_behind(before)
    assert not left, f"the test left processes behind: {left}"


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """`real_data("ct-chest")`: a folder or file of real, public images, or a skip with the reason."""
    root = Path(os.environ.get("RADNODE_TEST_DATA", REPOSITORY.parent / "shared" / "data"))

    def find(name: str) -> Path:
        path = root / name
        if not path.exists():
            pytest.skip(f"no real images at {path}; set RADNODE_TEST_DATA to a folder that has {name}")
        return path

    return find


@pytest.fixture
def start_node(tmp_path: Path) -> Iterator[Callable[..., NodeProcess]]:
    """`start_node(peers=..., routes=...)`: a running node (support.node), stopped after the test."""
    with ExitStack() as running:

        def start(**options: Any) -> NodeProcess:
            number = len(list(tmp_path.glob("node-*"))) + 1
            return running.enter_context(NodeProcess(tmp_path / f"node-{number}", **options))

        yield start


@pytest.fixture
def start_orthanc(tmp_path: Path) -> Iterator[Callable[..., Orthanc]]:
    """`start_orthanc(node=Target(...), forward="foreign")`: a running Orthanc, stopped after the test."""
    with ExitStack() as running:

        def start(**options: Any) -> Orthanc:
            number = len(list(tmp_path.glob("orthanc-*"))) + 1
            return running.enter_context(Orthanc(tmp_path / f"orthanc-{number}", **options))

        yield start


@pytest.fixture
def pacs() -> Iterator[StandInPacs]:
    """A stand-in PACS called PACS, for faults (support.pacs); it listens already."""
    with StandInPacs() as running:
        yield running
