"""What a run measured, for docs/reliability.md: written below RADNODE_TEST_RESULTS, if that is set."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path


def write_down(name: str, **figures: object) -> None:
    """Into `name`.json, with the day."""
    if folder := os.environ.get("RADNODE_TEST_RESULTS"):
        path = Path(folder) / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        day = datetime.now(UTC).date().isoformat()
        path.write_text(json.dumps({"measured_on": day, **figures}, indent=1) + "\n", encoding="utf-8")
