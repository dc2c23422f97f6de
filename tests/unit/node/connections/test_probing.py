from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from support.waiting import eventually

from radnode.node.connections.probing import AT_ONCE, Found, ProbeRefused, Probes
from radnode.node.doctor.finding import good

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def slow() -> Iterator[tuple[Callable[[Callable[[str], None]], Found], threading.Event]]:
    """A look at somebody who does not answer before the event is set."""
    go = threading.Event()

    def look(told: Callable[[str], None]) -> Found:
        told("C-ECHO")
        assert go.wait(20)
        return Found(findings=(good("echo", "answers"),))

    yield look, go
    go.set()


def probes() -> Probes:
    return Probes(lambda: datetime.now(UTC))


def test_a_probe_says_what_it_is_at_and_then_what_it_found(
    slow: tuple[Callable[[Callable[[str], None]], Found], threading.Event]
) -> None:
    look, go = slow
    known = probes()
    known.begin("peer:PACS", look)
    eventually(lambda: (probe := known.of("peer:PACS")) and probe.stage == "C-ECHO", within=20)
    with pytest.raises(ProbeRefused, match="tried already"):
        known.begin("peer:PACS", look)
    go.set()
    probe = eventually(lambda: (each := known.of("peer:PACS")) and not each.runs and each, within=20)
    assert probe.found.findings[0].answer == "answers"
    known.begin("peer:PACS", look)


def test_no_more_than_a_few_run_at_once(
    slow: tuple[Callable[[Callable[[str], None]], Found], threading.Event]
) -> None:
    known = probes()
    for number in range(AT_ONCE):
        known.begin(f"peer:P{number}", slow[0])
    with pytest.raises(ProbeRefused, match="others are being tried"):
        known.begin("peer:LAST", slow[0])


def test_a_probe_that_breaks_says_so_and_can_be_begun_again() -> None:
    def look(_told: Callable[[str], None]) -> Found:
        raise LookupError("a fault of ours")

    known = probes()
    known.begin("peer:PACS", look)
    probe = eventually(lambda: (each := known.of("peer:PACS")) and not each.runs and each, within=20)
    assert probe.failure == "LookupError; the log says more"
    known.begin("peer:PACS", look)
