"""Evaluation reports that `radnode evaluate` wrote into `reports/` of the data folder: which there are, their files.

What is asked for is compared with what is listed; it never becomes a path.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

FOLDER = "reports"
FILES: Mapping[str, str] = {
    "report.html": "text/html; charset=utf-8", "report.pdf": "application/pdf",
    "cases.csv": "text/csv; charset=utf-8", "metrics.json": "application/json",
}
"""What a report consists of (:mod:`radnode.pipelines.evaluation.files`), and its media types."""
MOST_LISTED = 200
LARGEST_METRICS = 4 * 1024 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One folder. pipeline, version, started: as its metrics say, empty where they cannot be read. files: there are.

    counts: state of a case -> cases.
    """

    name: str
    folder: Path
    pipeline: str = ""
    version: str = ""
    device: str = ""
    started: str = ""
    counts: Mapping[str, int]
    files: tuple[str, ...]

    def path(self, file: str) -> Path | None:
        """Of one of its files; None for what is none."""
        return next((self.folder / each for each in self.files if each == file), None)


def new_folder(data: Path, pipeline: str, started: datetime) -> Path:
    """Where a report goes if nobody says otherwise: its name sorts by time. data: the data folder of the node."""
    return data / FOLDER / f"{pipeline}-{started:%Y%m%d-%H%M%S}"


def reports(data: Path) -> list[Report]:
    """The newest by name of each pipeline first; of more than MOST_LISTED the last ones."""
    try:
        folders = [each for each in (data / FOLDER).iterdir() if _NAME.fullmatch(each.name) and not each.is_symlink()]
    except OSError:
        return []
    found = [_report(each) for each in sorted(folders, reverse=True)[:MOST_LISTED] if each.is_dir()]
    return sorted([each for each in found if each.files], key=lambda each: each.started, reverse=True)


def find(data: Path, name: str) -> Report | None:
    """One of them."""
    return next((each for each in reports(data) if each.name == name), None)


def _report(folder: Path) -> Report:
    files = tuple(each for each in FILES if (folder / each).is_file() and not (folder / each).is_symlink())
    said = _metrics(folder / "metrics.json") if "metrics.json" in files else {}
    counts = said.get("counts")
    texts = {key: str(said.get(key, ""))[:128] for key in ("pipeline", "version", "device", "started")}
    whole = counts.items() if isinstance(counts, dict) else ()
    return Report(name=folder.name, folder=folder, files=files, **texts,
                  counts={str(state): number for state, number in whole if isinstance(number, int)})


def _metrics(path: Path) -> dict[str, object]:
    try:
        if path.stat().st_size > LARGEST_METRICS:
            return {}
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}
