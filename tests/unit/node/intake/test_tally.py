"""Refusals are remembered for an hour, by source."""

from __future__ import annotations

from radnode.node.intake.tally import MOST_REMEMBERED, RefusalTally


def test_refusals_are_counted_by_source_for_an_hour() -> None:
    now_s = 0.0
    tally = RefusalTally(lambda: now_s)
    tally.refused("CT1")
    now_s = 1800.0
    tally.refused("CT1")
    tally.refused("CT2")
    assert tally.lately() == {"CT1": 2, "CT2": 1}
    now_s = 3601.0
    assert tally.lately() == {"CT1": 1, "CT2": 1}
    now_s = 5401.0
    assert tally.lately() == {}


def test_a_flood_of_refusals_takes_bounded_memory() -> None:
    tally = RefusalTally(lambda: 0.0)
    for _ in range(MOST_REMEMBERED + 5):
        tally.refused("CT1")
    assert tally.lately() == {"CT1": MOST_REMEMBERED}
