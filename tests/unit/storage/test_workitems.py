"""What is kept of work items, and for how long."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from support.rows import NOW

from radnode.storage import performed, subscriptions, workitems
from radnode.storage.subscriptions import GLOBAL

if TYPE_CHECKING:
    from radnode.storage.database import Database

SCHEDULED = {"00741000": {"vr": "CS", "Value": ["SCHEDULED"]}, "00404041": {"vr": "CS", "Value": ["READY"]}}
CLAIMED = {**SCHEDULED, "00741000": {"vr": "CS", "Value": ["IN PROGRESS"]}}


def enter(database: Database, uid: str, state: str = "SCHEDULED") -> None:
    with database.begin() as session:
        assert workitems.enter(session, uid, SCHEDULED, route="r", study_instance_uid="1.2", now=NOW)
        item = workitems.find(session, uid)
        assert item is not None
        if state != "SCHEDULED":
            workitems.change(session, item, NOW, state=state)


def uids(database: Database) -> set[str]:
    with database.read() as session:
        return {each.uid for each in workitems.newest(session)}


def test_what_ended_is_forgotten_after_its_time_and_what_has_not_is_kept(database: Database) -> None:
    for uid, state in (("1.1", "COMPLETED"), ("1.2", "CANCELED"), ("1.3", "SCHEDULED"), ("1.4", "IN PROGRESS")):
        enter(database, uid, state)
    with database.begin() as session:
        for uid in ("1.1", "1.3"):
            assert subscriptions.subscribe(session, "RIS", uid, (), NOW)
        assert performed.create(session, "CT", "MPPS", "1.9", ["1.2"], state="IN PROGRESS", references=None, now=NOW)
        assert workitems.forget_ended(session, NOW, 10) == 0, "not yet"
    later = NOW + timedelta(seconds=1)
    with database.begin() as session:
        assert [workitems.forget_ended(session, later, 1) for _ in range(4)] == [1, 1, 1, 0]
        assert [each.uid for each in subscriptions.everybody(session)] == ["1.3"]
    assert uids(database) == {"1.3", "1.4"}


def test_an_event_is_kept_with_its_change_and_goes_with_it_when_that_fails(database: Database) -> None:
    enter(database, "1.1")
    with database.begin() as session:
        assert subscriptions.waiting(session, "", 10) == [], "nobody listens"
        assert subscriptions.subscribe(session, "RIS", GLOBAL, (), NOW)
    with database.begin() as session:
        item = workitems.find(session, "1.1")
        assert item is not None
        workitems.change(session, item, NOW, state="IN PROGRESS", content=CLAIMED)
    with pytest.raises(workitems.Changed), database.begin() as session:
        workitems.change(session, item, NOW, state="CANCELED", content=SCHEDULED)
    with database.read() as session:
        (told,) = subscriptions.waiting(session, "", 10)
    assert (told.uid, told.event_type, told.content) == ("1.1", subscriptions.STATE, CLAIMED)


def test_no_more_subscriptions_are_kept_than_are_allowed(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "MOST", 1)
    with database.begin() as session:
        assert subscriptions.subscribe(session, "RIS", GLOBAL, (), NOW)
        assert not subscriptions.subscribe(session, "PACS", GLOBAL, (), NOW)
        assert subscriptions.subscribe(session, "RIS", GLOBAL, (), NOW), "it is one of them"
        assert subscriptions.unsubscribe(session, "RIS", GLOBAL)
        assert not subscriptions.unsubscribe(session, "RIS", GLOBAL)


def test_a_job_is_stopped_that_was_inserted_for_orders_and_that_no_other_order_wants(database: Database) -> None:
    for uid, state, jobs, begun in (("1.1", "IN PROGRESS", [1, 2, 3, 4], [1, 2]), ("1.2", "IN PROGRESS", [2], []),
                                    ("1.3", "CANCELED", [3], [3])):
        enter(database, uid)
        with database.begin() as session:
            item = workitems.find(session, uid)
            assert item is not None
            workitems.change(session, item, NOW, state=state, jobs=jobs, begun=begun)
    with database.read() as session:
        item = workitems.find(session, "1.1")
        assert item is not None
        assert workitems.stoppable(session, item) == [1, 3], "2 is wanted by another order, 4 was asked for by a route"
