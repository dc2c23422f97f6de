"""The figures that docs/reliability.md is made of: counts that go on over runs, and what was measured."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from faults import goals
from support import figures
from support.sources import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

MEASURED = REPOSITORY / "docs" / "measured"
KEPT = {
    str(path.relative_to(MEASURED).with_suffix("")): path for path in sorted(MEASURED.rglob("*")) if path.is_file()
}
pytestmark = pytest.mark.alone("about figures")

LARGEST = 10_000
"""Bytes: figures, not what they were taken from."""


def test_the_counts_of_a_run_are_added_to_those_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RADNODE_TEST_RESULTS", str(tmp_path))
    before = {"measured_on": "2026-01-01", "code": "0123456789", "since": "2026-01-01", "runs": 2, "lost": 0,
              "kills": {"K1": 3}}
    (tmp_path / "kills.json").write_text(json.dumps(before))

    figures.add_up("kills", lost=1, kills={"K1": 1, "K2": 5})

    written = json.loads((tmp_path / "kills.json").read_text())
    assert (written["runs"], written["since"], written["lost"]) == (3, "2026-01-01", 1)
    assert written["kills"] == {"K1": 4, "K2": 5}
    assert written["measured_on"] == figures.today()
    assert written["code"] != "0123456789"


@pytest.mark.parametrize("path", KEPT.values(), ids=KEPT)
def test_what_is_kept_is_small_and_says_when_and_of_what_it_was_measured(path: Path) -> None:
    content = path.read_text()
    written = json.loads(content)
    assert path.suffix == ".json"
    assert len(content) < LARGEST
    assert content == json.dumps(written, indent=1, sort_keys=True) + "\n"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", written["measured_on"])
    assert re.fullmatch(r"[0-9a-f]{10}\+?", written["code"])


@pytest.mark.parametrize("goal", [goal for goal in goals.GOALS if goal.figures in KEPT], ids=lambda goal: goal.figures)
def test_a_goal_can_be_judged_by_the_figures_that_are_kept_for_it(goal: goals.Goal) -> None:
    written = json.loads(KEPT[goal.figures].read_text())
    assert goal.said(written)
    goal.reached(written)
