"""What an administrator is told of the receivers beside the one that leads."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from support.rows import NOW

from radnode.node.alarms import Alarms
from radnode.node.receivers import Receivers, is_name
from radnode.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path


class Two:
    """Two receivers on one database and one clock; a leads."""

    def __init__(self, database: Database) -> None:
        self.now = NOW
        self.alarms = {name: Alarms(self._clock) for name in ("a", "b")}
        self.receivers = {
            name: Receivers(name, address=f"{name}.example:104", version="1", database=database,
                            alarms=self.alarms[name], now=self._clock)
            for name in ("a", "b")
        }

    def say(self, name: str, **refused: int) -> None:
        """One heartbeat of this receiver."""
        self.receivers[name].say(leads=name == "a", refused=refused, strangers={"10.0.0.9": 1}, associations=[])

    def told(self) -> list[str]:
        """What is wrong, as the leader says."""
        return [alarm.text for alarm in self.alarms["a"].raised()]

    def _clock(self) -> datetime:
        return self.now


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    """Both have said that they are there."""
    database = Database(f"sqlite:///{tmp_path / 'radnode.db'}")
    database.upgrade()
    made = Two(database)
    made.say("b")
    made.say("a")
    yield made
    database.close()


def test_what_is_wrong_at_another_is_an_alarm_of_the_leader_and_goes_with_its_cause(two: Two) -> None:
    two.alarms["b"].set("tls", "the certificate is unusable")
    two.say("b")
    two.say("a")
    assert two.told() == ["receiver b at b.example:104: the certificate is unusable"]
    two.alarms["b"].clear("tls")
    two.say("b")
    two.say("a")
    assert two.told() == []


def test_what_the_leader_says_itself_is_said_once(two: Two) -> None:
    for alarms in two.alarms.values():
        alarms.set("configuration", "line 3 is wrong")
    two.say("b")
    two.say("a")
    assert two.told() == ["line 3 is wrong"]


def test_a_receiver_that_is_not_heard_of_is_an_alarm_for_a_day_and_then_forgotten(two: Two) -> None:
    two.now += timedelta(minutes=2)
    two.say("a")
    assert two.told() == ["receiver b at b.example:104 was not heard of since 2026-03-01 12:00Z"]
    two.now += timedelta(days=1)
    two.say("a")
    two.say("a")
    assert two.told() == []


def test_a_receiver_that_ends_is_missed_by_nobody(two: Two) -> None:
    two.receivers["b"].end()
    two.now += timedelta(minutes=2)
    two.say("a")
    assert two.told() == []


def test_objects_refused_anywhere_are_counted_together(two: Two) -> None:
    two.say("b", CT1=2, CT2=1)
    two.say("a")
    assert two.receivers["a"].refused({"CT1": 1}) == {"CT1": 3, "CT2": 1}
    assert two.receivers["a"].strangers({}) == {"10.0.0.9": 1}


def test_who_leads_is_known_as_long_as_it_is_heard_of(two: Two) -> None:
    two.say("b")
    assert two.receivers["b"].leader() == "a"
    two.now += timedelta(minutes=2)
    assert two.receivers["b"].leader() == ""


@pytest.mark.parametrize("name", ["a", "radnode-receiver-0", "9", "a" * 63])
def test_a_name_is_the_label_of_a_host(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("name", ["", "A", "-a", "a.b", "../a", "a/b", "a b", "a\n", "a" * 64])
def test_no_other_name_becomes_part_of_a_path(name: str) -> None:
    assert not is_name(name)
