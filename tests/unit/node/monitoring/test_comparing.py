"""How far two pipelines agree on the same input, and on which cases they do not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from radnode.node.monitoring.comparing import compare, numbers_of
from radnode.storage.comparisons import Pair
from radnode.storage.monitoring_tables import ComparisonRow

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def report(
    positive: bool, volume: float | None = None, label: str = "Left lung", seconds: float = 2.0
) -> dict[str, Any]:
    measured = [] if volume is None else [
        {"of": "x", "label": label, "name": "Volume", "value": volume, "unit": "ml", "method": ""}]
    return {"state": "findings" if positive else "nothing found", "measurements": measured,
            "seconds": {"infer": seconds}, "memory": {"run_mb": 100 * seconds}}


def pair(number: int, one: dict[str, Any], other: dict[str, Any], dice: float | None = None, **more: Any) -> Pair:
    row = None if dice is None else ComparisonRow(state="COMPARED", structures=[{"name": "Left lung", "dice": dice}])
    return Pair(job_id=number, other_job_id=number + 1000, study_id=number, state=more.get("state", "PRODUCED"),
                other_state=more.get("other_state", "PRODUCED"), report=one, other_report=other, ended_at=NOW,
                comparison=row)


def test_positives_volumes_overlap_time_and_memory_are_compared_pair_by_pair() -> None:
    found = compare([pair(number, report(number % 2 == 0, 3000 + number),
                          report(number % 2 == 0, 3010 + number, seconds=1),
                          dice=0.9 + number / 100) for number in range(4)])
    assert (found.pairs, found.positives.kappa) == (4, 1.0)
    agreed = found.measurements["Left lung: Volume [ml]"]
    assert (agreed.n, agreed.bias) == (4, pytest.approx(10))
    assert found.dice["Left lung"] == (pytest.approx(0.915), pytest.approx(0.9), 4)
    assert (found.seconds, found.memory) == ((2.0, 1.0), (200.0, 100.0))
    assert found.discordant == ()


def test_a_case_is_listed_with_what_differs() -> None:
    found = compare([
        pair(1, report(True), report(False)), pair(2, report(True, 100.0), report(True, 60.0)),
        pair(3, report(True), report(True), dice=0.4), pair(4, report(True), {}, other_state="NOT_PROCESSED"),
        pair(5, report(True, 100.0), report(True, 101.0), dice=0.98),
    ])
    assert [(each.study_id, each.why) for each in found.discordant] == [
        (1, (("outcome", "", "findings", "nothing found"),)),
        (2, (("measurement", "Left lung: Volume [ml]", "100", "60"),)),
        (3, (("overlap", "Left lung", "0.40", ""),)),
        (4, (("outcome", "", "findings", "not processed"),)),
    ]
    assert found.unanswered == (0, 1)
    assert (found.positives.both, found.positives.first) == (3, 1)


def test_the_same_thing_under_two_spellings_is_one_and_several_of_one_name_are_none() -> None:
    found = compare([pair(1, report(True, 100.0, "Lung, left"), report(True, 90.0, "left lung"))])
    assert list(found.measurements) == ["Lung, left: Volume [ml]"]
    two = report(True, 5.0)
    two["measurements"] *= 2
    assert numbers_of(two) == {}


def test_nothing_is_said_of_no_pair() -> None:
    found = compare([])
    assert (found.pairs, found.positives.kappa, found.seconds) == (0, None, None)
