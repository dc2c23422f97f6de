"""docs/reliability.md, made anew from the figures that the runs wrote down.

    make goals catalogue faults fuzz bench soak        the runs; each writes a file of figures below docs/measured
    python tests/faults/report.py                      the page

A run writes its figures only when it found nothing wrong, or with what it found. A run whose figures are not there is
listed as not measured; no figure is typed by hand. The goals and how each is judged: goals.py.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goals import GOALS, Goal

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parent.parent.parent
HEAD = """# Reliability, measured

Made by `make reliability` from the figures that the runs named in the last column wrote into `docs/measured`, on two
shared cores of a virtual machine; not edited by hand. In brackets: the commit that was measured, with + where the code
differed from it. "Reached" compares the figure with the goal; a run that was shorter than its goal says so.
What each run does is in the docstring of its test. Bad inputs case by case: [catalogue.md](catalogue.md).

| goal | what | wanted | measured | on | reached | command |
|---|---|---|---|---|---|---|
"""


def row(goal: Goal, folder: Path) -> str:
    """The goal's line of the table."""
    path = folder / f"{goal.figures}.json"
    said, day, reached = goal.missing, "", "not yet"
    if path.is_file():
        figures = json.loads(path.read_text(encoding="utf-8"))
        said, day, reached = goal.said(figures), _when(figures), "yes" if goal.reached(figures) else "not yet"
    command = f"`{goal.command}`" if goal.command else ""
    return f"| {goal.number} | {goal.what} | {goal.goal} | {said} | {day} | {reached} | {command} |"


def _when(figures: Mapping[str, Any]) -> str:
    return f"{figures['measured_on']} ({figures['code']})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figures", type=Path, default=ROOT / "docs" / "measured")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "reliability.md")
    options = parser.parse_args()
    rows = [row(goal, options.figures) for goal in GOALS]
    options.out.write_text(HEAD + "\n".join(rows) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
