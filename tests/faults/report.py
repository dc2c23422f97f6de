"""docs/reliability.md, made anew from the figures that the fault runs wrote down.

    make faults fuzz bench             the runs; each writes a file of figures below bench-results/
    python tests/faults/report.py                            the page

A run writes its figures only when it found nothing wrong, or with what it found. A run whose figures are not there is
listed as not measured; no figure is typed by hand.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT = Path(__file__).resolve().parent.parent.parent
HEAD = """# Reliability, measured

Made by `python tests/faults/report.py` from the figures of the runs named in the last column, on two shared cores of a
virtual machine; not edited by hand. "Reached" compares the figure with the goal; a run that was shorter than its goal
says so. What each run does is in the docstring of its test. Bad inputs case by case: [catalogue.md](catalogue.md).

| what | goal | measured | reached | command |
|---|---|---|---|---|
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One row. figures: the file's name; said: the figures in words; reached: whether they are the goal's or better."""

    what: str
    goal: str
    figures: str
    command: str
    said: Callable[[Mapping[str, Any]], str]
    reached: Callable[[Mapping[str, Any]], bool]


GOALS = (
    Goal(
        what="SIGKILL at named places and at any moment: acknowledged images lost", figures="kills",
        goal="0 of 50,000 in 1,000 kills", command="RADNODE_TEST_KILLS=1000 make faults",
        said=lambda f: f"{f['lost']} of {f['acknowledged']:,} in {sum(f['kills'].values()):,} kills, "
                       f"{f['series']} series with one SEG and one SR each",
        reached=lambda f: f["lost"] == 0 and f["acknowledged"] >= 50_000 and sum(f["kills"].values()) >= 1000,
    ),
    Goal(
        what="Power cuts, by a model that forgets what was not flushed: broken promises", figures="power_cut",
        goal="0 in 10,000 histories", command="RADNODE_TEST_HISTORIES=10000 make faults",
        said=lambda f: f"0 in {f['histories']:,} histories ({f['seconds']:.0f} s)",
        reached=lambda f: f["histories"] >= 10_000,
    ),
    Goal(
        what="Histories of ledger, jobs and deliveries with zombies, restarts and clock jumps: rules broken",
        figures="histories", goal="0 in 20,000 histories of 50 steps",
        command="RADNODE_TEST_HISTORIES=20000 make faults",
        said=lambda f: f"0 in {f['histories']:,} histories of {f['steps']} steps ({f['seconds']:.0f} s)",
        reached=lambda f: f["histories"] >= 20_000 and f["steps"] >= 50,
    ),
    *(
        Goal(
            what=f"Workers frozen past their lease that come back, on {name}: effects of a stale token",
            figures=f"zombies-{name}", goal="0 in 1,000 trials", command="RADNODE_TEST_ZOMBIES=1000 make faults",
            said=lambda f: f"0 in {f['trials']:,} trials, {f['overtaken']:,} of them overtaken",
            reached=lambda f: f["trials"] >= 1000,
        )
        for name in ("sqlite", "postgresql")
    ),
    Goal(
        what="Results through faults of PACS and network: objects lost or doubled", figures="send_faults",
        goal="0 in 500 faults", command="RADNODE_TEST_SEND_FAULTS=500 make faults",
        said=lambda f: f"{f['lost']} lost, {f['doubles']} doubled of {f['objects']:,} in {f['faults']:,} faults; "
                       f"{f['confirmed']:,} confirmed, {f['dead_and_visible']} given up and listed",
        reached=lambda f: f["lost"] == f["doubles"] == f["conflicts"] == 0 and f["faults"] >= 500,
    ),
    Goal(
        what="C-ECHO of a known peer, 99th percentile, while hostile peers do all they can", figures="attack",
        goal="≤ 1 s; memory + ≤ 64 MiB; over in ≤ 15 s", command="make bench",
        said=lambda f: f"{f['echo_p99_during_s']:.2f} s ({f['echo_p99_before_s']:.2f} s before); "
                       f"+ {f['memory_grown_mib']:.0f} MiB; over in {f['recovered_s']:.0f} s; "
                       f"{f['silent_in_tls']} silent in TLS among them",
        reached=lambda f: f["echo_p99_during_s"] <= 1 and f["memory_grown_mib"] <= 64 and f["recovered_s"] <= 15,
    ),
    *(
        Goal(
            what=f"Fuzzing of {name}: undeclared exceptions, hangs", figures=f"fuzz-{name}",
            goal="0 in 2,000,000 executions", command="make fuzz",
            said=lambda f: f"0 in {f['executions']:,}, {f['runs']} runs since {f['since']} from one corpus",
            reached=lambda f: f["executions"] >= 2_000_000,
        )
        for name in ("headers", "routes", "intake", "dicomweb")
    ),
    Goal(
        what="Balance of the ledger over a million images", figures="ledger_balance",
        goal="< 100 ms, median", command="make bench",
        said=lambda f: f"{f['median_ms']:.0f} ms over {f['instances']:,}",
        reached=lambda f: f["median_ms"] < 100 and f["instances"] >= 1_000_000,
    ),
)


def row(goal: Goal, folder: Path) -> str:
    """The goal's line of the table."""
    path = folder / f"{goal.figures}.json"
    if not path.is_file():
        said, reached = "not measured", "-"
    else:
        figures = json.loads(path.read_text(encoding="utf-8"))
        said, reached = goal.said(figures), "yes" if goal.reached(figures) else "not yet"
        said += f" ({figures['measured_on']})"
    return f"| {goal.what} | {goal.goal} | {said} | {reached} | `{goal.command}` |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figures", type=Path, default=ROOT / "bench-results")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "reliability.md")
    options = parser.parse_args()
    rows = [row(goal, options.figures) for goal in GOALS]
    options.out.write_text(HEAD + "\n".join(rows) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
