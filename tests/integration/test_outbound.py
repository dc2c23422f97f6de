"""What becomes of results on their way to a PACS that is away, slow, full, changed or not telling the truth."""

from __future__ import annotations

import socket
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from support.network import free_port
from support.outbound import BOTH, CONFIRM_WITHIN, Outbound, destination, uid_of
from support.pacs import Answer, AnswerToAnother, Attempt, Cut, Fault, Lose, Refuse, StandInPacs
from support.rows import NOW
from support.wire import Break, CutAt, SilentFrom, Wire

from radnode.node import association
from radnode.node.delivery.backoff import HORIZON
from radnode.storage import outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from radnode.config.peers import Peer

MOMENT = timedelta(seconds=30)
SECOND = timedelta(seconds=1)


@pytest.fixture
def outbound(tmp_path: Path) -> Iterator[Callable[..., Outbound]]:
    made: list[Outbound] = []

    def make(*peers: Peer) -> Outbound:
        made.append(Outbound(tmp_path, *peers))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def bench(outbound: Callable[..., Outbound], pacs: StandInPacs) -> Outbound:
    """With a PACS that can be asked what it holds."""
    return outbound(destination(pacs.port, answers_find=True))


def _same_bytes_always(pacs: StandInPacs) -> None:
    assert len({(each.sop_instance_uid, each.digest) for each in pacs.attempts}) == len(
        {each.sop_instance_uid for each in pacs.attempts}
    )
    assert pacs.conflicts == []


def test_R1_results_of_an_outage_arrive_in_order_and_the_alarm_ends(bench: Outbound, pacs: StandInPacs) -> None:
    pacs.stop()
    for _ in range(3):
        bench.produce()
        bench.later(MOMENT)
    assert set(bench.states()) == {"WAITING"}
    assert "results wait" in bench.standing()["destination:PACS"]
    (away,) = bench.answers.status()["outages"]
    assert (away["destination"], away["reason"]) == (
        "PACS", f"PACS (127.0.0.1:{pacs.port}) does not accept a connection"
    )
    pacs.start()
    bench.to_next_due()
    assert bench.states() == ["CONFIRMED"] * 6
    assert [each.sop_instance_uid for each in pacs.attempts] == [
        uid_of(job, name) for job in (1, 2, 3) for name in BOTH
    ]
    assert "destination:PACS" not in bench.standing()
    assert bench.answers.status()["outages"] == []


@pytest.mark.parametrize("status", [0x0110, 0x0213, 0xA700, 0xA7FF])
def test_R3_a_transient_refusal_is_tried_again_with_the_same_object(
    bench: Outbound, pacs: StandInPacs, status: int
) -> None:
    pacs.plan = lambda attempt: Refuse(status) if attempt.number < 3 else None
    bench.produce(["SEG"])
    bench.deliver()
    (waiting,) = bench.deliveries()
    assert (waiting.state, waiting.due_at > bench.clock.time) == ("WAITING", True)
    assert f"{status:04X}" in waiting.reason
    bench.to_next_due()
    bench.to_next_due()
    assert bench.states() == ["CONFIRMED"]
    assert len(pacs.attempts) == 3
    _same_bytes_always(pacs)


@pytest.mark.parametrize("status", [0xA900, 0xC000, 0x0117, 0x0122, 0x0124])
def test_R4_a_permanent_refusal_is_dead_with_its_object_and_never_tried_again(
    bench: Outbound, pacs: StandInPacs, status: int
) -> None:
    pacs.plan = lambda _attempt: Refuse(status)
    bench.produce(["SC"])
    bench.deliver()
    for _ in range(5):
        bench.later(timedelta(days=1))
    (dead,) = bench.deliveries()
    assert (dead.state, len(pacs.attempts)) == ("DEAD", 1)
    assert f"0x{status:04X}" in dead.reason
    assert "radnode deliveries --failed" in bench.standing()["deliveries"]
    (listed,) = bench.answers.deliveries(failed=True)
    assert listed["sop_instance_uid"] == uid_of(1, "SC")
    assert len(list((bench.store.root / "results").rglob("*.dcm"))) == 1
    pacs.plan = lambda _attempt: None
    with bench.database.begin() as session:
        outbox.resend(session, [dead.id], bench.clock.time)
    bench.deliver()
    assert bench.states() == ["CONFIRMED"]
    _same_bytes_always(pacs)


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007, 0x0111])
def test_R5_a_warning_is_stored_recorded_and_never_sent_again(
    bench: Outbound, pacs: StandInPacs, status: int
) -> None:
    pacs.plan = lambda _attempt: Answer(status)
    bench.produce(["SEG"])
    bench.deliver()
    bench.later(timedelta(days=1))
    (delivery,) = bench.deliveries()
    assert (delivery.state, delivery.status) == ("CONFIRMED", status)
    assert [each["status"] for each in bench.events("result sent")] == [f"0x{status:04X}"]
    assert len(pacs.attempts) == 1


@pytest.mark.parametrize("keep", [True, False], ids=["it was kept", "it was not kept"])
def test_R6_without_an_answer_the_same_object_is_sent_again_and_then_looked_for(
    bench: Outbound, pacs: StandInPacs, keep: bool
) -> None:
    pacs.plan = lambda attempt: Cut(keep=keep) if attempt.number == 1 else None
    bench.produce(["SEG"])
    bench.deliver()
    assert [(row.state, row.reason) for row in bench.deliveries()] == [("WAITING", "no answer to C-STORE")]
    bench.to_next_due()
    assert bench.states() == ["CONFIRMED"]
    assert [each.sop_instance_uid for each in pacs.attempts] == [uid_of(1, "SEG")] * 2
    assert len(pacs.stored()) == 1
    _same_bytes_always(pacs)


def test_R6_a_late_answer_is_not_believed_of_the_next_object(
    outbound: Callable[..., Outbound], pacs: StandInPacs
) -> None:
    """With a PACS that cannot be asked afterwards, the next object would be lost for good."""
    bench = outbound(destination(pacs.port))
    report = uid_of(1, "TID1500+SEG")
    pacs.plan = lambda attempt: (
        AnswerToAnother() if attempt.sop_instance_uid == report and attempt.number == 1 else Answer(times=2)
    )
    bench.produce()
    bench.deliver()
    assert bench.states() == ["SENT", "WAITING"]
    bench.to_next_due()
    assert bench.states() == ["SENT", "SENT"]
    assert len(pacs.stored()) == 2


def test_R7_what_the_pacs_accepted_and_does_not_list_is_an_alarm_and_sent_again(
    bench: Outbound, pacs: StandInPacs
) -> None:
    seen: dict[str, str] = {}

    def plan(attempt: Attempt) -> Fault | None:
        if attempt.number == 1:
            return Lose()
        seen.update({alarm.name: alarm.text for alarm in bench.alarms.raised()})
        return None

    pacs.plan = plan
    bench.produce(["SEG"])
    bench.deliver()
    assert bench.states() == ["SENT"]
    while len(pacs.attempts) == 1 and bench.to_next_due():
        pass
    assert "answered Success to 1 results that it does not list" in seen["unconfirmed:PACS"]
    assert bench.clock.time - bench.deliveries()[0].created_at <= CONFIRM_WITHIN + MOMENT
    assert bench.states() == ["CONFIRMED"]
    assert "unconfirmed:PACS" not in bench.standing()
    _same_bytes_always(pacs)


def test_R7_what_is_lost_again_and_again_is_never_called_delivered_and_given_up_in_the_end(
    bench: Outbound, pacs: StandInPacs
) -> None:
    pacs.plan = lambda _attempt: Lose()
    bench.produce(["SEG"])
    bench.deliver()
    while bench.clock.time < NOW + HORIZON + 2 * CONFIRM_WITHIN:
        bench.later(timedelta(hours=4))
        assert bench.states() != ["CONFIRMED"]
        assert bench.standing().keys() & {"unconfirmed:PACS", "deliveries"}  # also just after it was sent again
    (dead,) = bench.deliveries()
    assert (dead.state, dead.reason) == ("DEAD", "PACS answered Success to it but does not list it")
    assert "deliveries" in bench.standing()
    assert {each.sop_instance_uid for each in pacs.attempts} == {uid_of(1, "SEG")}


@pytest.mark.catalogue("R7")
def test_without_faults_every_result_is_proven_to_have_arrived_within_five_minutes(
    bench: Outbound, pacs: StandInPacs
) -> None:
    began = bench.clock.time
    for number in range(1, 9):
        pacs.keep([bench.image(number)])
        bench.produce()
        bench.later(SECOND)
    while bench.to_next_due():
        pass
    assert bench.states() == ["CONFIRMED"] * 16
    assert bench.clock.time - began < timedelta(minutes=5)
    assert len(pacs.attempts) == 16
    assert bench.standing() == {}


def test_R9_a_refused_report_leaves_the_segmentation_delivered_and_the_job_partially_so(
    bench: Outbound, pacs: StandInPacs
) -> None:
    pacs.plan = lambda attempt: Refuse(0x0124) if attempt.sop_instance_uid == uid_of(1, "TID1500+SEG") else None
    bench.produce()
    bench.deliver()
    assert bench.states() == ["CONFIRMED", "DEAD"]
    assert "1 jobs are partially delivered" in bench.standing()["deliveries"]


def test_R9_a_report_is_never_sent_before_what_it_refers_to(bench: Outbound, pacs: StandInPacs) -> None:
    pacs.plan = lambda attempt: (
        Refuse(0xA700) if attempt.number == 1 and attempt.sop_instance_uid == uid_of(1, "SEG") else None
    )
    bench.produce()
    bench.deliver()
    assert [each.sop_instance_uid for each in pacs.attempts] == [uid_of(1, "SEG")]
    bench.to_next_due()
    assert [each.sop_instance_uid for each in pacs.attempts[1:]] == [uid_of(1, name) for name in BOTH]


def test_R12_results_on_images_that_the_pacs_lacks_are_delivered_with_a_warning(
    bench: Outbound, pacs: StandInPacs
) -> None:
    bench.produce()
    bench.deliver()
    assert bench.states() == ["CONFIRMED", "CONFIRMED"]
    assert "PACS lists 0 of the 1 images that the results of study 1.2.5.1 refer to" in bench.standing()["images:PACS"]
    missing = {"form": "SEG", "destination": "PACS", "listed": 0, "referred_to": 1}
    assert bench.events("images missing at destination") == [missing]
    pacs.keep([bench.image(2)])
    bench.produce()
    bench.deliver()
    assert bench.events("images missing at destination") == [missing]
    assert "images:PACS" not in bench.standing()


def test_R14_an_object_over_the_limit_of_its_destination_is_not_sent_and_said_to_be_too_large(
    outbound: Callable[..., Outbound], pacs: StandInPacs
) -> None:
    bench = outbound(destination(pacs.port, largest_result=50_000))
    bench.produce(["SC"], size_bytes=60_000)
    bench.produce(["SC"], size_bytes=10_000)
    bench.deliver()
    (large, small) = bench.deliveries()
    assert (large.state, small.state) == ("DEAD", "SENT")
    assert "more than PACS gets in one object (largest_result)" in large.reason
    assert [each.sop_instance_uid for each in pacs.attempts] == [uid_of(2, "SC")]
    assert "deliveries" in bench.standing()


@pytest.mark.parametrize("damage", ["other bytes", "another object", "no bytes"])
def test_a_kept_object_that_is_damaged_is_dead_and_holds_up_no_other(
    bench: Outbound, pacs: StandInPacs, damage: str
) -> None:
    bench.produce(["SC"])
    bench.produce(["SEG"])
    first, second = sorted((bench.store.root / "results").rglob("*.dcm"), key=lambda path: path.stat().st_mtime_ns)
    content = {"other bytes": b"DICM" * 1000, "another object": second.read_bytes(), "no bytes": b""}[damage]
    first.write_bytes(content)
    bench.deliver()
    assert bench.states() == ["DEAD", "CONFIRMED"]
    assert "damaged on disk" in bench.deliveries()[0].reason
    assert [each.sop_instance_uid for each in pacs.attempts] == [uid_of(2, "SEG")]


@pytest.mark.parametrize("change", ["another machine", "removed", "receives no more"])
def test_R16_what_was_queued_for_a_destination_that_changed_is_dead_until_somebody_sends_it_there(
    outbound: Callable[..., Outbound], pacs: StandInPacs, change: str
) -> None:
    bench = outbound(destination(free_port()))
    bench.produce()
    bench.deliver()
    if change == "removed":
        bench.peers.clear()
    else:
        bench.peers["PACS"] = destination(pacs.port, receives=change == "another machine")
    bench.later(timedelta(hours=1))
    assert pacs.attempts == []
    assert bench.states() == ["DEAD", "DEAD"]
    reason = "queued for another machine" if change == "another machine" else "no destination any more"
    assert all(reason in row.reason or "refers to" in row.reason for row in bench.deliveries())
    alarms = bench.standing()
    assert "2 not delivered, given up" in alarms["deliveries"]
    bench.peers["PACS"] = destination(pacs.port)
    with bench.database.begin() as session:
        outbox.resend(session, outbox.dead_deliveries(session), bench.clock.time)
    bench.deliver()
    assert bench.states() == ["SENT", "SENT"]
    assert [each.sop_instance_uid for each in pacs.attempts] == [uid_of(1, name) for name in BOTH]


@pytest.mark.parametrize("dropped", ["cut", "silent"])
def test_N9_a_connection_that_a_firewall_drops_is_made_anew_for_the_same_object(
    outbound: Callable[..., Outbound], pacs: StandInPacs, dropped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(association, "ANSWER_TIMEOUT_S", 2.0)
    with Wire(pacs.port) as wire:
        bench = outbound(destination(wire.port))
        sizes = {"first": 5_000, "second": 40_000}
        breaks: list[Break | None] = [CutAt("request", 30_000) if dropped == "cut" else SilentFrom(30_000)]
        wire.plan = lambda: breaks.pop(0) if breaks else None
        for size in sizes.values():
            bench.produce(["SEG"], size_bytes=size)
        bench.deliver()
        assert wire.struck
        assert bench.states() == ["SENT", "WAITING"]
        bench.to_next_due()
        assert bench.states() == ["SENT", "SENT"]
        assert wire.connections == 2
    assert [row.attempts for row in bench.deliveries()] == [1, 2]
    assert len(pacs.stored()) == 2
    with bench.database.read() as session:
        assert outbox.dead_deliveries(session) == []
    assert bench.standing() == {}


def test_N18_a_name_that_does_not_resolve_is_asked_again_and_holds_up_no_other_destination(
    outbound: Callable[..., Outbound], pacs: StandInPacs, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = outbound(
        destination(pacs.port, name="AWAY", host="pacs.hospital.invalid", answers_find=True),
        destination(pacs.port, name="PACS"),
    )
    bench.produce(to=["AWAY", "PACS"])
    bench.deliver()
    assert bench.states() == ["WAITING", "SENT", "WAITING", "SENT"]
    assert "no address for pacs.hospital.invalid" in bench.standing()["destination:AWAY"]
    asked = []

    def resolves(host: str, *more: Any, **keywords: Any) -> Any:
        asked.append(host)
        return getaddrinfo("127.0.0.1" if host == "pacs.hospital.invalid" else host, *more, **keywords)

    getaddrinfo = socket.getaddrinfo
    monkeypatch.setattr("socket.getaddrinfo", resolves)
    bench.to_next_due()
    assert "pacs.hospital.invalid" in asked
    assert bench.states() == ["CONFIRMED", "SENT", "CONFIRMED", "SENT"]
    assert "destination:AWAY" not in bench.standing()
