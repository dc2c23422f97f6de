"""Exactly one object of each kind for each job is at the PACS, whatever PACS and network do (goal: exactly once).

The number of faults: RADNODE_TEST_SEND_FAULTS, and the seed of their plan: RADNODE_TEST_SEED. Where the number is set,
the figures of the run are written below docs/measured.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from support.figures import write_down
from support.outbound import BOTH, Outbound, destination, uid_of
from support.send_faults import KINDS, LARGEST_OBJECT, FaultPlan
from support.wire import Wire

from radnode.node import association
from radnode.storage import outbox

if TYPE_CHECKING:
    from pathlib import Path

    from support.pacs import StandInPacs

FAULTS = os.environ.get("RADNODE_TEST_SEND_FAULTS")
SEED = int(os.environ.get("RADNODE_TEST_SEED", "20261121"))


@pytest.mark.slow
@pytest.mark.catalogue("R3", "R4", "R6", "R7")
def test_every_result_is_at_the_pacs_once_or_visibly_dead_after_any_faults(
    pacs: StandInPacs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(association, "ANSWER_TIMEOUT_S", 1.0)
    plan = FaultPlan(SEED, int(FAULTS or 40))
    began = time.monotonic()
    with Wire(pacs.port) as wire:
        wire.plan, wire.on_break, pacs.plan = plan.at_connection, plan.struck, plan.at_attempt
        node = Outbound(tmp_path, destination(wire.port, answers_find=True))
        jobs = _through_all_faults(node, pacs, plan)
        held_back = Counter(node.states())
        listed = node.answers.deliveries(failed=True)
        alarms = node.standing()
        figures = _figures(node, pacs, plan, jobs)
        with node.database.begin() as session:
            outbox.resend(session, outbox.dead_deliveries(session), node.clock.time)
        _to_the_end(node)
    figures |= {"seconds": round(time.monotonic() - began), "connections": wire.connections}
    write_down("send_faults", **figures)

    assert set(plan.counts) == set(KINDS)
    assert all(plan.counts.values()), plan.counts
    assert set(held_back) <= {"CONFIRMED", "DEAD"}
    assert len(listed) == held_back["DEAD"]
    assert ("deliveries" in alarms) == bool(held_back["DEAD"])
    assert (figures["lost"], figures["doubles"], figures["conflicts"]) == (0, 0, 0)
    # What an administrator sends again arrives, too, and is still there once.
    assert set(node.states()) == {"CONFIRMED"}
    expected = {uid_of(job, name) for job in range(1, jobs + 1) for name in BOTH}
    assert sorted(str(each.SOPInstanceUID) for each in pacs.stored()) == sorted(expected)
    assert {each.sop_instance_uid for each in pacs.attempts} == expected
    assert len({(each.sop_instance_uid, each.digest) for each in pacs.attempts}) == len(expected)
    node.close()


def _through_all_faults(node: Outbound, pacs: StandInPacs, plan: FaultPlan) -> int:
    """Results come while faults strike, until all have struck and nothing waits; how many jobs."""
    sizes = random.Random(SEED)
    jobs = 0
    while not plan.is_over:
        node.produce(size_bytes=sizes.randrange(100, LARGEST_OBJECT))
        jobs += 1
        node.deliver()
        for _ in range(3):
            if plan.restart:
                pacs.stop()
                node.to_next_due()
                pacs.start()
                plan.restart = False
            node.to_next_due()
    _to_the_end(node)
    return jobs


def _to_the_end(node: Outbound) -> None:
    node.deliver()
    while node.to_next_due():
        pass


def _figures(node: Outbound, pacs: StandInPacs, plan: FaultPlan, jobs: int) -> dict[str, Any]:
    states = node.states()
    uids = [uid_of(job, name) for job in range(1, jobs + 1) for name in BOTH]
    held = Counter((str(each.StudyInstanceUID), str(each.SOPClassUID)) for each in pacs.stored())
    at_pacs = {str(each.SOPInstanceUID) for each in pacs.stored()}
    return {
        "seed": SEED,
        "faults": plan.counts.total(),
        "faults_by_kind": dict(plan.counts),
        "jobs": jobs,
        "objects": len(uids),
        "c_store_requests": len(pacs.attempts),
        "confirmed": states.count("CONFIRMED"),
        "dead_and_visible": states.count("DEAD"),
        "lost": sum(state != "DEAD" and uid not in at_pacs for uid, state in zip(uids, states, strict=True)),
        "doubles": sum(number - 1 for number in held.values()),
        "conflicts": len(pacs.conflicts),
        "virtual_hours": round((node.clock.time - node.started).total_seconds() / 3600, 1),
    }
