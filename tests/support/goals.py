"""Goals that a group of tests shows together: which tests (marker `goal`), and how many of them passed.

`make goals` runs them all, `make test` among the others; the end of either writes one file of figures for each name
(support.figures), if it is told where.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from support.figures import write_down

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

_PROPERTY = "goal"


def trace(items: Sequence[pytest.Item]) -> None:
    """Let the report of each test say which goals it shows; reports cross processes, markers do not."""
    for item in items:
        for mark in item.iter_markers("goal"):
            item.user_properties += [(_PROPERTY, str(name)) for name in mark.args]


def count(terminal: pytest.TerminalReporter) -> None:
    """Write down passed, failed and skipped for each goal; of a run of all marked tests only, or it would say less."""
    chosen = terminal.config.option
    if chosen.markexpr not in ("goal", "") or chosen.keyword or chosen.file_or_dir:
        return
    counted: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for outcome, reports in terminal.stats.items():
        for report in reports:
            if outcome in ("passed", "failed", "skipped", "error"):
                for name in {value for key, value in report.user_properties if key == _PROPERTY}:
                    counted[name][outcome] += 1
    for name, outcomes in counted.items():
        write_down(f"tests-{name}", passed=outcomes["passed"], failed=outcomes["failed"] + outcomes["error"],
                   skipped=outcomes["skipped"])
