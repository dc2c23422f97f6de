"""An administrator who knows of an alarm silences it: it stays where it is shown, and nobody is told for a time."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from radnode.storage import alarms as kept
from radnode.storage import silences
from radnode.storage.silences import Silence

if TYPE_CHECKING:
    from datetime import datetime

    from radnode.storage.database import Database

log = structlog.get_logger(__name__)

LONGEST = timedelta(days=7)
"""What should be silent for longer is to be mended, or the expectation behind it changed."""
LONGEST_REASON = 300


class NotSilenced(Exception):
    """Why not, and what would be right."""


def silence(database: Database, name: str, *, lasts: timedelta, reason: str, who: str, now: datetime) -> None:
    """Tell nobody of this alarm for so long, also if it goes and comes again. Raises :class:`NotSilenced`."""
    reason = reason.strip()
    if not reason or len(reason) > LONGEST_REASON:
        raise NotSilenced(f"say why in 1 to {LONGEST_REASON} characters: others will ask")
    if not timedelta() < lasts <= LONGEST:
        raise NotSilenced(f"an alarm is silenced for {LONGEST.days} days at most")
    with database.begin() as session:
        if name not in {alarm.name for alarm in kept.standing(session)}:
            raise NotSilenced("there is no such alarm any more")
        silences.silence(session, name, Silence(until=now + lasts, who=who, reason=reason), now)
    log.info("alarm.silenced", alarm=name, hours=lasts.total_seconds() / 3600, who=who)


def tell_again(database: Database, name: str, *, who: str) -> None:
    """End a silence before its time; harmless where there is none."""
    with database.begin() as session:
        ended = silences.end(session, name)
    if ended:
        log.info("alarm.silence_ended", alarm=name, who=who)
