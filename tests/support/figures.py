"""What a run measured, for docs/reliability.md: a file of figures below RADNODE_TEST_RESULTS, if that is set.

`make` sets it to docs/measured, which git keeps: the counts of runs that add up outlive the machine of any of them.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any


def write_down(name: str, **figures: object) -> None:
    """Into `name`.json, with the day and the code that was measured."""
    if (path := _path(name)) is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        dated = {"measured_on": today(), "code": _code(), **figures}
        path.write_text(json.dumps(dated, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def add_up(name: str, **counts: float | Mapping[str, float]) -> None:
    """The same for one run of many: its counts are added to theirs, with how many runs and since when."""
    before = _written_down(name)
    together = {each: _sum(before.get(each), count) for each, count in counts.items()}
    write_down(name, **together, runs=runs(name) + 1, since=before.get("since", today()))


def runs(name: str) -> int:
    """How many runs were added up: what a run takes to be another one than they, such as its seed."""
    return int(_written_down(name).get("runs", 0))


def _sum(before: Any, count: float | Mapping[str, float]) -> Any:
    if isinstance(count, Mapping):
        return {each: (before or {}).get(each, 0) + count.get(each, 0) for each in {**(before or {}), **count}}
    return (before or 0) + count


def _written_down(name: str) -> dict[str, Any]:
    path = _path(name)
    return json.loads(path.read_text(encoding="utf-8")) if path is not None and path.is_file() else {}


def today() -> str:
    """In UTC, as 2026-03-01."""
    return datetime.now(UTC).date().isoformat()


def _code() -> str:
    """The commit, with a + if anything but documentation differs from it; the version where there is no git."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        commit = subprocess.run([*git, "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=True)
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", ":/", ":(exclude,top)docs"], check=False)
    except (OSError, subprocess.CalledProcessError):
        return version("radnode")
    return commit.stdout.strip() + "+" * bool(changed.returncode)


def _path(name: str) -> Path | None:
    folder = os.environ.get("RADNODE_TEST_RESULTS")
    return Path(folder) / f"{name}.json" if folder else None
