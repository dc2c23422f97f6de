"""What receivers of one node say to each other, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from support.rows import NOW

from radnode.storage import receivers
from radnode.storage.receivers import LOST, Present

if TYPE_CHECKING:
    from radnode.storage.database import Database

A = Present(name="a", address="10.0.0.1:104", version="1", leads=True, said={"alarms": {}}, since=NOW, seen_at=NOW)
B = replace(A, name="b", address="10.0.0.2:104", leads=False)
LATER = NOW + LOST / 2


def _say(database: Database, *present: Present) -> None:
    with database.begin() as session:
        for each in present:
            receivers.say(session, each)


def _carry(database: Database, receiver: str, association: str, *series: str) -> None:
    with database.begin() as session:
        for each in series:
            receivers.carried(session, receiver, association, each)


def _number(database: Database, series: str, beside: str = "a", now: object = LATER) -> int:
    with database.read() as session:
        return receivers.number_carrying(session, series, beside, now)  # type: ignore[arg-type]


def test_a_receiver_says_anew_how_it_is_and_its_first_time_is_kept(database: Database) -> None:
    _say(database, B, A, replace(B, said={"alarms": {"disk": "full"}}, since=LATER, seen_at=LATER))
    with database.read() as session:
        assert receivers.listed(session) == [A, replace(B, said={"alarms": {"disk": "full"}}, seen_at=LATER)]


def test_an_open_association_of_another_counts_for_the_series_it_has_carried(database: Database) -> None:
    _say(database, A, B)
    _carry(database, "b", "x", "1.2", "1.3")
    _carry(database, "b", "x", "1.2")
    _carry(database, "a", "own", "1.2")
    assert [_number(database, series) for series in ("1.2", "1.3", "1.4")] == [1, 1, 0]
    with database.read() as session:
        assert receivers.is_open(session, "x", "a", LATER)
        assert not receivers.is_open(session, "own", "a", LATER)


def test_an_association_that_ended_counts_no_more(database: Database) -> None:
    _say(database, A, B)
    for association in ("x", "y", "z"):
        _carry(database, "b", association, "1.2")
    with database.begin() as session:
        receivers.drop(session, "x")
    assert _number(database, "1.2") == 2
    with database.begin() as session:
        receivers.keep_only(session, "b", ["z"])
    assert _number(database, "1.2") == 1


def test_nothing_waits_for_a_receiver_that_is_lost_or_ended(database: Database) -> None:
    _say(database, A, B)
    _carry(database, "b", "x", "1.2")
    assert _number(database, "1.2", now=NOW + LOST + timedelta(seconds=1)) == 0
    with database.begin() as session:
        receivers.forget(session, "b")
    assert _number(database, "1.2") == 0
    with database.read() as session:
        assert receivers.listed(session) == [A]
