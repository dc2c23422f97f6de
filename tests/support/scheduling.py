"""Which tests go to one process, one after the other: what they share is made once, and two cores do not carry two
nodes.

Decided by the names of tests alone: pytest 9.2 does not tell pytest-xdist 3.8 of the marker `xdist_group`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from xdist.remote import Producer

TOGETHER = {
    "tests/acceptance/": "the whole node",
    "tests/faults/": "the whole node",
    "tests/browser/test_page": "the pages of one node",
    "tests/unit/storage/": "the tables on one database server",
}


def unit_of(nodeid: str) -> str:
    """What a test belongs to: one of :data:`TOGETHER`, or its module."""
    return next((unit for begin, unit in TOGETHER.items() if nodeid.startswith(begin)), nodeid.partition("::")[0])


class ByUnit(LoadScopeScheduling):
    """Gives each process a unit at a time."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByUnit:
    """Whatever `--dist` says."""
    return ByUnit(config, log)
