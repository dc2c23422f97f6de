"""What a run measured, for docs/reliability.md: a file of figures below RADNODE_TEST_RESULTS, if that is set."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def write_down(name: str, **figures: object) -> None:
    """Into `name`.json, with the day."""
    if (path := _path(name)) is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"measured_on": today(), **figures}, indent=1) + "\n", encoding="utf-8")


def written_down(name: str) -> dict[str, Any] | None:
    """What an earlier run wrote under this name."""
    path = _path(name)
    return json.loads(path.read_text(encoding="utf-8")) if path is not None and path.is_file() else None


def today() -> str:
    """The day in UTC, as 2026-03-01."""
    return datetime.now(UTC).date().isoformat()


def _path(name: str) -> Path | None:
    folder = os.environ.get("RADNODE_TEST_RESULTS")
    return Path(folder) / f"{name}.json" if folder else None
