"""A PACS that is away for half a day, in virtual time: the real outbox and back-off under a clock set by hand."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select
from support.outbound import BOTH, CT, Outbound, destination, uid_of
from support.pacs import Refuse

from radnode.node.delivery.backoff import HORIZON, LONGEST_WAIT
from radnode.storage import outbox
from radnode.storage.tables import DeliveryRow, EventRow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.pacs import StandInPacs

AWAY = timedelta(hours=12)
A_JOB_EVERY = timedelta(minutes=40)
MOST_ATTEMPTS = AWAY // (0.75 * LONGEST_WAIT) + 10  # the last are a cap apart, less the jitter; the first are closer


@pytest.fixture
def node(tmp_path: Path, pacs: StandInPacs) -> Iterator[Outbound]:
    made = Outbound(tmp_path, destination(pacs.port, answers_find=True))
    yield made
    made.close()


def _events(node: Outbound) -> int:
    with node.database.read() as session:
        return session.scalar(select(func.count()).select_from(EventRow)) or 0


def _sent_by(node: Outbound) -> int:
    with node.database.read() as session:
        return session.scalar(select(func.count()).where(DeliveryRow.sent_at.is_not(None))) or 0


@pytest.mark.goal("outage")
@pytest.mark.slow
@pytest.mark.parametrize("fault", ["it does not listen", "it is full", "it does not listen and the node restarts"])
def test_R1_twelve_hours_without_the_pacs_lose_nothing_and_end_within_a_quarter_of_an_hour(
    node: Outbound, pacs: StandInPacs, fault: str
) -> None:
    if fault == "it is full":
        pacs.plan = lambda _attempt: Refuse(0xA700)
    else:
        pacs.stop()
    jobs, attempts, restarted = _half_a_day(node, pacs, restart="restarts" in fault)
    rows = node.deliveries()
    assert len(rows) == 2 * jobs
    assert {row.state for row in rows} == {"WAITING"}
    assert _events(node) == jobs * _events_of_one_job(node)
    assert attempts <= MOST_ATTEMPTS * (2 if restarted else 1)
    assert sum(row.attempts for row in rows) <= attempts + 3

    came_back = node.clock.time
    pacs.plan = lambda _attempt: None
    if fault != "it is full":
        pacs.start()
    pacs.attempts.clear()
    while not _sent_by(node):
        assert node.to_next_due()
    assert node.clock.time - came_back <= LONGEST_WAIT
    while node.to_next_due():
        pass

    assert set(node.states()) == {"CONFIRMED"}
    expected = [uid_of(job, name) for job in range(1, jobs + 1) for name in BOTH]
    assert sorted(each.SOPInstanceUID for each in pacs.stored() if each.SOPClassUID != CT) == sorted(expected)
    arrived = [each.sop_instance_uid for each in pacs.attempts]
    assert len(arrived) == len(expected)
    for job in range(1, jobs + 1):
        assert [uid for uid in arrived if uid in {uid_of(job, name) for name in BOTH}] == [
            uid_of(job, name) for name in BOTH
        ]
    assert node.standing() == {}
    assert node.outages() == []


def _half_a_day(node: Outbound, pacs: StandInPacs, *, restart: bool) -> tuple[int, int, bool]:
    """Results come all the time; how many jobs ended, how often the PACS was tried, whether the node was restarted."""
    end = node.clock.time + AWAY
    jobs = attempts = 0
    due: set[object] = set()
    restarted = not restart
    while node.clock.time < end:
        if node.clock.time >= node.started + jobs * A_JOB_EVERY:
            node.produce()
            jobs += 1
            pacs.keep([node.image(jobs)])
        if not restarted and node.clock.time > node.started + AWAY / 2:
            node.restart()
            restarted = True
        node.deliver()
        if outages := node.answers.status()["outages"]:
            (outage,) = outages
            attempts += outage["next_attempt_at"] not in due
            due.add(outage["next_attempt_at"])
            (current,) = node.outages()
            assert current.next_attempt_at - node.clock.time <= LONGEST_WAIT
            assert "results wait" in _alarm(node)
            next_job = node.started + jobs * A_JOB_EVERY
            node.clock.time = min(at for at in (current.next_attempt_at, next_job, end) if at > node.clock.time)
        else:  # the third failure of single objects is the destination's
            node.clock.forward(timedelta(seconds=5))
    return jobs, attempts, restart


def _alarm(node: Outbound) -> str:
    return node.standing()["destination:PACS"]


def _events_of_one_job(node: Outbound) -> int:
    study = node.answers.study("1.2.5.1")
    assert study is not None
    return len(study["events"])


def test_R1_what_waited_for_three_days_is_given_up_visibly_and_can_be_sent_again(
    node: Outbound, pacs: StandInPacs
) -> None:
    pacs.stop()
    node.produce()
    node.later(HORIZON - timedelta(hours=1))
    assert node.states() == ["WAITING", "WAITING"]
    node.later(timedelta(hours=2))
    assert node.states() == ["DEAD", "DEAD"]
    assert len(node.answers.deliveries(failed=True)) == 2
    assert "deliveries" in node.standing()
    pacs.start()
    with node.database.begin() as session:
        outbox.resend(session, outbox.dead_deliveries(session), node.clock.time)
    node.later(LONGEST_WAIT)
    assert node.states() == ["CONFIRMED", "CONFIRMED"]
