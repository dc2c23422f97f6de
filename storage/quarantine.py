"""Refused objects, set aside for an administrator to look at: the bytes, and beside them why, whose and when.

    root/quarantine/ab12….dcm     as they arrived, behind a file header of ours
    root/quarantine/ab12….json    the refusal

Nothing here was acknowledged: the sender has been told that it failed. Space is bounded, the oldest give way.
"""

from __future__ import annotations

import contextlib
import json
import threading
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MOST_FILES = 1000
MOST_BYTES = 2_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why an object was not taken. status: as answered, "0xA900". digest: SHA-256 of the file that holds its bytes."""

    at: datetime
    source: str
    association: str
    status: str
    reason: str
    digest: str


class Quarantine:
    """The folder. `take` is called by the receiver's threads; looking needs no running node."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._taking = threading.Lock()
        self._held: dict[Path, int] | None = None
        """Sizes, oldest first, as far as this process knows; None until it takes its first."""

    def take(self, spooled: Path, refusal: Refusal) -> None:
        """Move a written file aside; the oldest give way when there are too many. Raises OSError."""
        target = self.folder / f"{refusal.digest}.dcm"
        with self._taking:  # else one caller measures what another deletes
            spooled.replace(target)
            said = json.dumps({**asdict(refusal), "at": refusal.at.isoformat()}, ensure_ascii=False)
            target.with_suffix(".json").write_text(said + "\n", encoding="utf-8")
            self._make_room(target)

    def _make_room(self, newest: Path) -> None:
        """A look into the folder for each refusal would let a hostile peer cost more with every object it sends."""
        if self._held is None:
            self._held = dict(reversed(self._newest_first()))
        self._held.pop(newest, None)
        self._held[newest] = newest.stat().st_size
        total = sum(self._held.values())
        while len(self._held) > 1 and (len(self._held) > MOST_FILES or total > MOST_BYTES):
            oldest = next(iter(self._held))
            total -= self._held.pop(oldest)
            oldest.unlink(missing_ok=True)
            oldest.with_suffix(".json").unlink(missing_ok=True)

    def refusals(self) -> list[Refusal]:
        """What lies here, newest first; of bytes without a note only the time is known."""
        return [_noted(path) for path, _ in self._newest_first()]

    def _newest_first(self) -> list[tuple[Path, int]]:
        found = []
        for path in self.folder.glob("*.dcm"):
            with contextlib.suppress(FileNotFoundError):  # the node may be making room
                status = path.stat()
                found.append((status.st_mtime, path, status.st_size))
        return [(path, size) for _, path, size in sorted(found, reverse=True)]


def _noted(path: Path) -> Refusal:
    try:
        values = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        return Refusal(**{**values, "at": datetime.fromisoformat(values["at"])})
    except (OSError, ValueError, TypeError, KeyError):
        at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        return Refusal(at=at, source="", association="", status="", reason="not noted", digest=path.stem)
