"""Who is told what of an alarm, and when. The decision is pure; the teller of each sink asks the rows.

    raised ──(lasts `tell_after`)──▶ told ──24 h──▶ told again ──cleared for 5 min──▶ told that it is over

What was told stands in the rows, so that a restart tells nothing twice. An alarm that comes back within those five
minutes is the same one and nothing is said; one that went before anybody was told is not told at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from radnode.config.alarms import AlarmSettings
    from radnode.storage.alarms import Event, KeptAlarm, Telling

REMIND_AFTER = timedelta(hours=24)
SETTLED_AFTER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """An alarm, and what a sink is to be told of it."""

    alarm: KeptAlarm
    event: Event


def owed(
    known: Sequence[KeptAlarm], sink: str, now: datetime, tell_after: Callable[[str], timedelta]
) -> list[Owed]:
    """What this sink is to be told now. A sink is not told of itself."""
    return [
        Owed(alarm=alarm, event=event)
        for alarm in known
        if alarm.name != f"sink:{sink}"
        and (event := _event(alarm, alarm.tellings.get(sink), now, tell_after(alarm.name))) is not None
    ]


def tell_after(alarm_name: str, settings: AlarmSettings) -> timedelta:
    """How long an alarm lasts before anybody is told: peers restart, and most are back in a moment."""
    return settings.destination_away if alarm_name.startswith("destination:") else timedelta()


def _event(alarm: KeptAlarm, telling: Telling | None, now: datetime, after: timedelta) -> Event | None:
    if alarm.cleared_at is not None:
        knows = telling is not None and telling.event != "cleared"
        return "cleared" if knows and now - alarm.cleared_at >= SETTLED_AFTER else None
    if telling is None:
        return "raised" if now - alarm.since >= after else None
    if telling.event == "cleared":
        return "raised"
    return "still" if now - telling.told_at >= REMIND_AFTER else None
