"""Told once when raised, again after a day, once when it is over; and nothing twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from support.rows import NOW

from radnode.config.alarms import AlarmSettings
from radnode.node.alarming.telling import REMIND_AFTER, SETTLED_AFTER, owed, tell_after
from radnode.storage.alarms import Event, KeptAlarm, Telling

SECOND = timedelta(seconds=1)
FRESH = KeptAlarm(
    alarm_id=1, name="disk", severity="critical", text="", since=NOW, last_seen_at=NOW, cleared_at=None, tellings={}
)


def told(event: Event, ago: timedelta) -> dict[str, Telling]:
    """What the mail said last."""
    return {"mail": Telling(event=event, told_at=NOW - ago)}


def events(alarm: KeptAlarm, sink: str = "mail") -> list[Event]:
    """What a sink is owed now."""
    settings = AlarmSettings()
    return [each.event for each in owed([alarm], sink, NOW, lambda name: tell_after(name, settings))]


CLEARED = replace(FRESH, cleared_at=NOW - SETTLED_AFTER)


@pytest.mark.parametrize(
    ("alarm", "expected"),
    [
        (FRESH, ["raised"]),
        (replace(FRESH, tellings=told("raised", REMIND_AFTER - SECOND)), []),
        (replace(FRESH, tellings=told("raised", REMIND_AFTER)), ["still"]),
        (replace(FRESH, tellings=told("still", REMIND_AFTER - SECOND)), []),
        (replace(FRESH, tellings=told("still", REMIND_AFTER)), ["still"]),
        (replace(CLEARED, tellings=told("raised", SECOND)), ["cleared"]),
        (replace(CLEARED, tellings=told("still", SECOND)), ["cleared"]),
        (replace(CLEARED, tellings=told("cleared", SECOND)), []),
        (replace(CLEARED, cleared_at=NOW - SETTLED_AFTER + SECOND, tellings=told("raised", SECOND)), []),
        (CLEARED, []),  # it went before anybody was told
        (replace(FRESH, tellings=told("cleared", SECOND)), ["raised"]),
    ],
)
def test_what_is_told_when(alarm: KeptAlarm, expected: list[Event]) -> None:
    assert events(alarm) == expected


def test_each_sink_has_its_own_account() -> None:
    alarm = replace(FRESH, tellings=told("raised", SECOND))
    assert (events(alarm), events(alarm, "webhook")) == ([], ["raised"])


def test_a_sink_is_not_told_of_itself_but_the_other_is() -> None:
    alarm = replace(FRESH, name="sink:mail")
    assert (events(alarm), events(alarm, "webhook")) == ([], ["raised"])


def test_a_destination_is_told_only_after_it_has_been_away_for_five_minutes() -> None:
    away = replace(FRESH, name="destination:PACS")
    assert events(replace(away, since=NOW - timedelta(minutes=5) + SECOND)) == []
    assert events(replace(away, since=NOW - timedelta(minutes=5))) == ["raised"]


def test_a_clock_moved_back_tells_nothing_twice() -> None:
    assert events(replace(FRESH, tellings=told("raised", -timedelta(hours=1)))) == []
