"""Where and when the node backs itself up: the section `backup` of a configuration."""

from __future__ import annotations

from datetime import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from radnode.config.sections import Section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from radnode.config.settings import Settings


def _time_of_day(value: str) -> str:
    try:
        if len(value) == 5:
            time.fromisoformat(value)
            return value
    except ValueError:
        pass
    raise ValueError('a time of the day is written like "02:30", in quotes')


class BackupSettings(Section):
    """folder: None: no back-up by itself. at: hours of `alarms.time_zone`. keep: how many."""

    folder: Path | None = None
    at: Annotated[str, AfterValidator(_time_of_day)] = "02:30"
    keep: Annotated[int, Field(ge=1, le=1000)] = 14


def contradictions(found: BackupSettings, settings: Settings) -> Iterator[tuple[tuple[str, str], str, str]]:
    """Where, what is wrong, what would be right."""
    if found.folder is not None and found.folder.resolve().is_relative_to(settings.data.resolve()):
        yield (("backup", "folder"), "it lies in the data folder, and would be lost with it",
               "give it a folder on another disk, best on another machine")
