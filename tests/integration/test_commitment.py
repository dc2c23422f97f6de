"""Results whose arrival the destination itself vouches for: storage commitment (PS3.4 Annex J), the node as SCU."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select
from support.commitment import Committer, report_to
from support.outbound import BOTH, Outbound, destination, uid_of
from support.pacs import StandInPacs
from support.receiver import Receiver

from radnode.node.commitment_sets import Transaction
from radnode.node.delivery import committing
from radnode.node.delivery.commitment import TIME_OUT
from radnode.node.intake.admission import admit
from radnode.node.intake.normalized import CommitmentDesk
from radnode.storage import commitments, outbox
from radnode.storage.tables import CommitmentRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from radnode.config.peers import Peer
    from radnode.node.intake.admission import Admission

SEG, REPORT = uid_of(1, BOTH[0]), uid_of(1, BOTH[1])
HOUR = timedelta(hours=1)
UNKNOWN = 0x0115
MISSING, BUSY, CONFLICT, REFUSED = 0x0112, 0x0213, 0x0119, 0x0122


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committing, "REPORT_WAIT_S", 0.0)


@pytest.fixture
def archive() -> Iterator[StandInPacs]:
    """A PACS that takes storage commitment, and reports only when it is told."""
    pacs = StandInPacs()
    pacs.committer = Committer()
    with pacs:
        yield pacs


@pytest.fixture
def outbound(tmp_path: Path) -> Iterator[Callable[..., Outbound]]:
    made: list[Outbound] = []

    def make(pacs: StandInPacs, **more: Any) -> Outbound:
        made.append(Outbound(tmp_path, destination(pacs.port, commitment=True, **more)))
        return made[-1]

    yield make
    for each in made:
        each.close()


def _committer(pacs: StandInPacs) -> Committer:
    assert pacs.committer is not None
    return pacs.committer


def _report(bench: Outbound, pacs: StandInPacs, number: int = -1) -> int:
    """What the PACS says now of one of the transactions; the node's answer."""
    committer = _committer(pacs)
    return bench.commitments.reported(committer.judged(committer.asked[number].transaction), "PACS")


def _desk(bench: Outbound) -> CommitmentDesk:
    return CommitmentDesk(reported=bench.commitments.reported, requested=bench.voucher.requested)


def _transactions(bench: Outbound) -> list[str]:
    with bench.database.read() as session:
        return [row.state for row in session.scalars(select(CommitmentRow).order_by(CommitmentRow.id))]


def _said(bench: Outbound) -> list[tuple[str, str]]:
    return [(row.state, row.confirmed_how or row.reason) for row in bench.deliveries()]


def test_R8_the_results_of_a_job_are_asked_about_once_and_proven_by_the_report(
    outbound: Callable[..., Outbound], archive: StandInPacs
) -> None:
    bench = outbound(archive)
    bench.produce()
    bench.deliver()
    (asked,) = _committer(archive).asked
    assert {each.sop_instance_uid for each in asked.transaction.references} == {SEG, REPORT}
    bench.later(6 * HOUR)
    assert bench.states() == ["SENT", "SENT"]
    assert "unconfirmed:PACS" not in bench.standing()
    assert _report(bench, archive) == 0
    assert _said(bench) == [("CONFIRMED", "storage commitment by PACS")] * 2
    assert _report(bench, archive) == 0, "a report that comes again changes nothing"
    bench.later(2 * TIME_OUT)
    assert len(_committer(archive).asked) == 1
    assert len(archive.attempts) == 2
    assert _transactions(bench) == ["REPORTED"]
    assert len(bench.events("result confirmed")) == 2
    assert bench.standing() == {}


@pytest.mark.parametrize("answers_find", [True, False])
def test_R8_what_the_archive_does_not_have_is_sent_again_as_it_was_and_asked_about_again(
    outbound: Callable[..., Outbound], archive: StandInPacs, answers_find: bool
) -> None:
    bench = outbound(archive, answers_find=answers_find)
    _committer(archive).say = lambda uid: MISSING if uid == SEG else None
    bench.produce()
    bench.deliver()
    assert _report(bench, archive) == 0
    assert _said(bench) == [
        ("WAITING", "PACS does not commit to it: 0x0112 no such object instance"),
        ("CONFIRMED", "storage commitment by PACS"),
    ]
    bench.confirmer.confirm_sent()
    assert "unconfirmed:PACS" in bench.standing()
    bench.deliver()
    first, second = archive.attempts_for(SEG)
    assert first.digest == second.digest
    assert len(archive.attempts_for(REPORT)) == 1
    again = _committer(archive).asked[1].transaction
    assert [each.sop_instance_uid for each in again.references] == [SEG]
    _committer(archive).say = lambda _uid: None
    assert _report(bench, archive) == 0
    bench.deliver()
    assert bench.states() == ["CONFIRMED", "CONFIRMED"]
    assert "unconfirmed:PACS" not in bench.standing()


@pytest.mark.parametrize("failure", [0x0110, 0x0131, BUSY])
def test_R8_an_archive_that_cannot_now_is_asked_again_later_and_a_day_of_it_is_an_answer(
    outbound: Callable[..., Outbound], archive: StandInPacs, failure: int
) -> None:
    bench = outbound(archive)
    _committer(archive).say = lambda _uid: failure
    bench.produce(["SEG"])
    bench.deliver()
    assert _report(bench, archive) == 0
    bench.deliver()
    assert len(_committer(archive).asked) == 1
    assert f"0x{failure:04X}" in bench.standing()["commitment:PACS"]
    while bench.clock.time - bench.started < TIME_OUT:
        assert bench.states() == ["SENT"]
        bench.later(6 * HOUR)
        _report(bench, archive)
    assert bench.states() == ["DEAD"]
    uids = [each.transaction.uid for each in _committer(archive).asked]
    assert len(uids) == len(set(uids)) == 5
    assert len(archive.attempts) == 1
    assert "deliveries" in bench.standing()


@pytest.mark.parametrize("answers_find", [True, False])
def test_R8_a_class_that_is_not_committed_to_is_looked_for_or_given_up_visibly(
    outbound: Callable[..., Outbound], archive: StandInPacs, answers_find: bool
) -> None:
    bench = outbound(archive, answers_find=answers_find)
    _committer(archive).say = lambda _uid: REFUSED
    bench.produce(["SEG"])
    bench.deliver()
    assert _report(bench, archive) == 0
    assert "SOP class not supported" in bench.standing()["commitment:PACS"]
    bench.deliver()
    expected = ("CONFIRMED", "C-FIND") if answers_find else (
        "DEAD", "PACS does not commit to it: 0x0122 SOP class not supported"
    )
    assert _said(bench) == [expected]


def test_R8_another_object_under_the_same_uid_is_never_found_to_have_arrived(
    outbound: Callable[..., Outbound], archive: StandInPacs
) -> None:
    bench = outbound(archive, answers_find=True)
    _committer(archive).say = lambda _uid: CONFLICT
    bench.produce(["SEG"])
    bench.deliver()
    assert _report(bench, archive) == 0
    bench.deliver()
    assert _said(bench) == [
        ("DEAD", "PACS does not commit to it: 0x0119 it holds another object under this UID")
    ]
    assert archive.find_requests == []


@pytest.mark.parametrize("answers_find", [True, False])
def test_R8_without_a_report_for_a_day_the_results_are_looked_for_or_given_up_visibly(
    outbound: Callable[..., Outbound], archive: StandInPacs, answers_find: bool
) -> None:
    bench = outbound(archive, answers_find=answers_find)
    bench.produce()
    bench.deliver()
    bench.later(TIME_OUT - HOUR)
    assert bench.states() == ["SENT", "SENT"]
    assert archive.find_requests == []
    bench.later(2 * HOUR)
    assert _transactions(bench) == ["TIMED_OUT"]
    if answers_find:
        assert _said(bench) == [("CONFIRMED", "C-FIND")] * 2
    else:
        assert _said(bench) == [("DEAD", "PACS did not report on it within 24 h")] * 2
        assert "deliveries" in bench.standing()
    assert _report(bench, archive) == 0, "a report that comes after that is taken, and changes nothing"
    assert len(archive.attempts) == 2


def test_R8_a_part_of_a_report_proves_that_part_and_the_next_the_other(
    outbound: Callable[..., Outbound], archive: StandInPacs
) -> None:
    bench = outbound(archive)
    bench.produce()
    bench.deliver()
    whole = _committer(archive).asked[0].transaction
    for number in (0, 1):
        assert bench.commitments.reported(replace(whole, references=whole.references[number : number + 1]), "PACS") == 0
        assert bench.states().count("CONFIRMED") == number + 1


def test_R8_a_report_on_an_unknown_transaction_or_a_foreign_object_proves_nothing(
    outbound: Callable[..., Outbound], archive: StandInPacs
) -> None:
    bench = outbound(archive)
    bench.produce(["SEG"])
    bench.produce(["SC"])
    bench.deliver()
    first, second = (each.transaction for each in _committer(archive).asked)
    assert bench.commitments.reported(replace(first, uid="2.25.1"), "PACS") == UNKNOWN
    assert bench.commitments.reported(Transaction(uid=first.uid, references=second.references), "PACS") == 0
    assert bench.states() == ["SENT", "SENT"]


@pytest.mark.parametrize("status", [0x0122, 0x0213, 0x0110])
def test_R8_an_archive_that_refuses_the_request_holds_nothing_up(
    outbound: Callable[..., Outbound], archive: StandInPacs, status: int
) -> None:
    bench = outbound(archive, answers_find=True)
    _committer(archive).status = status
    bench.produce()
    bench.deliver()
    bench.produce()
    bench.deliver()
    assert _transactions(bench) == ["REFUSED", "REFUSED"]
    assert len(archive.attempts) == 4
    assert "refused to be asked for storage commitment" in bench.standing()["commitment:PACS"]
    _committer(archive).status = 0
    bench.later(HOUR)
    if status == REFUSED:
        assert _said(bench) == [("CONFIRMED", "C-FIND")] * 4
    else:
        assert [_report(bench, archive, number) for number in (-2, -1)] == [0, 0]
        assert _said(bench) == [("CONFIRMED", "storage commitment by PACS")] * 4
        assert "commitment:PACS" not in bench.standing()


@pytest.mark.parametrize("answers_find", [True, False])
def test_R8_an_archive_without_storage_commitment_is_an_alarm_and_the_results_arrive(
    outbound: Callable[..., Outbound], pacs: StandInPacs, answers_find: bool
) -> None:
    bench = outbound(pacs, answers_find=answers_find)
    bench.produce()
    bench.deliver()
    assert "PACS takes no storage commitment" in bench.standing()["commitment:PACS"]
    assert bench.states() == ["CONFIRMED" if answers_find else "SENT"] * 2


def test_R8_the_report_on_the_association_of_the_request_is_taken_and_answered(
    outbound: Callable[..., Outbound], archive: StandInPacs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committing, "REPORT_WAIT_S", 20.0)
    bench = outbound(archive)
    _committer(archive).at_once = True
    _committer(archive).say = lambda uid: REFUSED if uid == REPORT else None
    bench.produce()
    bench.deliver()
    assert bench.states() == ["CONFIRMED", "DEAD"]
    assert _committer(archive).replies == [0]


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Callable[[Outbound], Receiver]]:
    """The receiver of a node, before which the PACS comes with its report."""
    opened: list[Receiver] = []

    def open_for(bench: Outbound) -> Receiver:
        def known(calling: str, called: str, host: str, certificate: object) -> Admission:
            peers: list[Peer] = list(bench.peers.values())
            return admit(peers, own_ae_title="RADNODE", accept_unknown=True, called=called, calling=calling, host=host)

        opened.append(Receiver(tmp_path / "door", admit=known, desk=_desk(bench)).__enter__())
        return opened[-1]

    yield open_for
    for each in opened:
        each.__exit__()


@pytest.mark.parametrize("roles", [True, False], ids=["as SCP", "without role selection"])
def test_R8_the_report_on_an_association_of_its_own_is_taken_hours_later_from_a_mere_destination(
    outbound: Callable[..., Outbound], door: Callable[[Outbound], Receiver], archive: StandInPacs, roles: bool
) -> None:
    bench = outbound(archive)
    receiver = door(bench)
    _committer(archive).say = lambda uid: BUSY if uid == REPORT else None
    bench.produce()
    bench.deliver()
    bench.later(5 * HOUR)
    transaction = _committer(archive).asked[0].transaction
    report = _committer(archive).judged(transaction)
    assert report_to(receiver.port, report, calling="STRANGER", roles=roles) == 0x0124
    assert bench.states() == ["SENT", "SENT"]
    assert report_to(receiver.port, report, roles=roles) == 0
    assert bench.states() == ["CONFIRMED", "SENT"]
    assert report_to(receiver.port, replace(report, uid="2.25.1"), roles=roles) == UNKNOWN
    assert receiver.ended("violated") == 0


def test_K14_a_report_that_cannot_be_recorded_is_refused_and_taken_when_it_comes_again(
    outbound: Callable[..., Outbound], archive: StandInPacs, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = outbound(archive)
    bench.produce()
    bench.deliver()

    def fails(*_: object, **__: object) -> None:
        raise committing.StorageError("the database is away")

    with monkeypatch.context() as broken:
        broken.setattr(commitments, "reported", fails)
        assert _report(bench, archive) == 0x0110
    assert bench.states() == ["SENT", "SENT"]
    assert _report(bench, archive) == 0
    assert bench.states() == ["CONFIRMED", "CONFIRMED"]


@pytest.mark.parametrize("comes_again", [True, False])
def test_K14_a_report_while_the_node_is_down_comes_again_or_the_time_out_ends_it(
    outbound: Callable[..., Outbound], archive: StandInPacs, comes_again: bool
) -> None:
    bench = outbound(archive, answers_find=True)
    bench.produce()
    bench.deliver()
    bench.restart()
    with bench.database.begin() as session:
        commitments.give_back(session)
    if comes_again:
        assert _report(bench, archive) == 0
    bench.later(TIME_OUT + HOUR)
    how = "storage commitment by PACS" if comes_again else "C-FIND"
    assert _said(bench) == [("CONFIRMED", how)] * 2
    assert len(_committer(archive).asked) == 1


def test_K14_a_request_that_a_crash_cut_off_is_made_again(
    outbound: Callable[..., Outbound], archive: StandInPacs, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = outbound(archive)
    bench.produce(["SEG"])
    bench.sender.send_due()

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(committing, "_request", crash)
        with pytest.raises(KeyboardInterrupt):
            bench.commitments.ask_due()
    bench.restart()
    with bench.database.begin() as session:
        commitments.give_back(session)
        outbox.give_back(session, bench.clock.time)
    bench.deliver()
    assert len(_committer(archive).asked) == 1
    assert _report(bench, archive) == 0
    assert bench.states() == ["CONFIRMED"]
