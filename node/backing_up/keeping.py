"""Back-ups by schedule: when one is due, which are kept, and an alarm when there is none that is new enough."""

from __future__ import annotations

import shutil
import threading
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

import structlog

from radnode.node.backing_up import manifest as manifests
from radnode.node.backing_up.making import PREFIX, BackupFailed, make
from radnode.node.backing_up.manifest import NotABackup

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo
    from pathlib import Path

    from radnode.config.loading import Configuration
    from radnode.node.alarms import Alarms
    from radnode.node.backing_up.making import Made
    from radnode.node.backing_up.manifest import Manifest

log = structlog.get_logger(__name__)

AGAIN_AFTER = timedelta(minutes=30)
"""A back-up that failed is tried again."""
TOO_OLD = timedelta(hours=30)
"""One a day, and some hours for one that takes long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A finished back-up of a folder."""

    folder: Path
    manifest: Manifest


def kept(folder: Path) -> list[Kept]:
    """The finished back-ups of a folder, the newest first; what is none is left out."""
    found = []
    for path in sorted(folder.glob(f"{PREFIX}*Z"), reverse=True):
        try:
            found.append(Kept(folder=path, manifest=manifests.read(path)))
        except NotABackup as error:
            log.warning("backup.not_one", reason=str(error))
    return sorted(found, key=lambda each: each.manifest.made_at, reverse=True)


def due_since(now: datetime, at: str, zone: tzinfo | None) -> datetime:
    """The last moment at which a back-up should have been made."""
    local = now.astimezone(zone)
    moment = datetime.combine(local.date(), time.fromisoformat(at), local.tzinfo)
    return moment if moment <= local else moment - timedelta(days=1)


class BackupKeeper:
    """For the clock of a node."""

    def __init__(
        self, *, configuration: Callable[[], Configuration], alarms: Alarms, now: Callable[[], datetime]
    ) -> None:
        self._configuration = configuration
        self._alarms = alarms
        self._now = now
        self._lock = threading.Lock()
        self._failed: tuple[datetime, str] | None = None

    def step(self) -> bool:
        """Make one if it is due, then say whether the newest is new enough."""
        configuration, now = self._configuration(), self._now()
        folder = configuration.backup.folder
        if folder is None:
            self._alarms.clear("backup")
            return False
        found = kept(folder)
        due = due_since(now, configuration.backup.at, configuration.alarms.zone)
        waits = self._failed is not None and now - self._failed[0] < AGAIN_AFTER
        if (not found or found[0].manifest.made_at < due) and not waits:
            try:
                self.make()
            except BackupFailed as error:
                log.error("backup.failed", reason=str(error))
            found = kept(folder)
        self._say(found, now)
        return False

    def make(self) -> Made:
        """One now, into the configured folder. Raises :class:`BackupFailed`."""
        configuration, now = self._configuration(), self._now()
        folder = configuration.backup.folder
        if folder is None:
            raise BackupFailed("no folder is configured; write `folder` below `backup`")
        with self._lock:
            try:
                made = make(configuration, folder, now)
            except BackupFailed as error:
                self._failed = (now, str(error))
                raise
            self._failed = None
        log.info("backup.made", bytes=made.manifest.size, files=len(made.manifest.files))
        for each in kept(folder)[configuration.backup.keep:]:
            if each.manifest.node == made.manifest.node:
                shutil.rmtree(each.folder)
        return made

    def _say(self, found: list[Kept], now: datetime) -> None:
        if self._failed is not None:
            self._alarms.set("backup", f"the last back-up failed: {self._failed[1]}")
        elif not found or now - found[0].manifest.made_at > TOO_OLD:
            last = f"of {found[0].manifest.made_at:%Y-%m-%d %H:%M} UTC" if found else "none"
            self._alarms.set("backup", f"the newest back-up is {last}")
        else:
            self._alarms.clear("backup")
