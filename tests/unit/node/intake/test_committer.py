"""Many associations share a transaction, and each gets its own outcome."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from radnode.node.intake.committer import Committer
from radnode.storage.errors import DatabaseUnavailable, TransactionEnded
from radnode.storage.receptions import Reception, Recorded

if TYPE_CHECKING:
    from collections.abc import Sequence


def _reception(name: str) -> Reception:
    return Reception(
        sop_instance_uid=name,
        sop_class_uid="1.2",
        series_instance_uid="1.3",
        study_instance_uid="1.4",
        patient_id="P",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        digest="0" * 64,
        size_bytes=1,
        source="CT1",
        association="a",
        received_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def _recorded(reception: Reception) -> Recorded:
    return Recorded(
        instance_id=int(reception.sop_instance_uid),
        series_id=1,
        duplicate=False,
        conflict=False,
    )


def _flushed() -> None:
    """The file is durable."""


class _Database:
    """Records batches; the first one waits until the test lets it go."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.entered = threading.Event()
        self.go_on = threading.Event()
        self.poison: str | None = None
        self.down = False
        self.ended = 0

    def __call__(self, receptions: Sequence[Reception]) -> list[Recorded]:
        self.batches.append([each.sop_instance_uid for each in receptions])
        self.entered.set()
        assert self.go_on.wait(10)
        if self.down:
            raise DatabaseUnavailable("locked")
        if self.ended:
            self.ended -= 1
            raise TransactionEnded("deadlock detected")
        if any(each.sop_instance_uid == self.poison for each in receptions):
            raise ValueError(self.poison)
        return [_recorded(each) for each in receptions]


def _commit_all(database: _Database, names: Sequence[str]) -> dict[str, int | Exception]:
    """The first alone, the others while its transaction runs."""
    committer = Committer(database)
    outcomes: dict[str, int | Exception] = {}

    def commit(name: str) -> None:
        try:
            outcomes[name] = committer.commit(_reception(name), _flushed).instance_id
        except (DatabaseUnavailable, ValueError) as error:
            outcomes[name] = error

    threads = [threading.Thread(target=commit, args=(name,)) for name in names]
    threads[0].start()
    assert database.entered.wait(10)
    for number, thread in enumerate(threads[1:], start=1):
        thread.start()
        while len(committer._line) < number:
            thread.join(0.001)
    database.go_on.set()
    for thread in threads:
        thread.join(10)
    return outcomes


def test_one_reception_is_recorded_by_the_thread_that_brings_it() -> None:
    database = _Database()
    database.go_on.set()
    assert Committer(database).commit(_reception("7"), _flushed).instance_id == 7


def test_whoever_waits_shares_the_next_transaction() -> None:
    database = _Database()
    outcomes = _commit_all(database, ["1", "2", "3", "4"])
    assert outcomes == {"1": 1, "2": 2, "3": 3, "4": 4}
    assert database.batches == [["1"], ["2", "3", "4"]]


def test_a_reception_that_can_not_be_recorded_fails_alone() -> None:
    database = _Database()
    database.poison = "3"
    outcomes = _commit_all(database, ["1", "2", "3", "4"])
    assert isinstance(outcomes.pop("3"), ValueError)
    assert outcomes == {"1": 1, "2": 2, "4": 4}


def test_an_unavailable_database_is_asked_once_for_all() -> None:
    database = _Database()
    database.down = True
    outcomes = _commit_all(database, ["1", "2", "3"])
    assert all(isinstance(each, DatabaseUnavailable) for each in outcomes.values())
    assert len(database.batches) == 2


def test_a_transaction_that_the_database_ends_for_another_is_repeated_with_all_that_share_it() -> None:
    database = _Database()
    database.ended = 2
    assert _commit_all(database, ["1", "2", "3"]) == {"1": 1, "2": 2, "3": 3}
    assert database.batches == [["1"], ["1"], ["1"], ["2", "3"]]


def test_what_the_database_ends_again_and_again_fails() -> None:
    database = _Database()
    database.go_on.set()
    database.ended = 3
    with pytest.raises(TransactionEnded):
        Committer(database).commit(_reception("1"), _flushed)


def test_after_a_failure_the_next_reception_is_recorded() -> None:
    database = _Database()
    database.go_on.set()
    committer = Committer(database)
    database.down = True
    with pytest.raises(DatabaseUnavailable):
        committer.commit(_reception("1"), _flushed)
    database.down = False
    assert committer.commit(_reception("2"), _flushed).instance_id == 2


def test_a_transaction_waits_for_who_flushes_its_file_and_both_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("radnode.node.intake.committer.LONGEST_WAIT_S", 10)
    database, flushing = _Database(), threading.Event()
    database.go_on.set()
    committer = Committer(database)
    threads = [threading.Thread(target=committer.commit, args=(_reception("1"), flushing.wait))]
    threads[0].start()
    while not committer._coming:
        threads[0].join(0.001)
    threads.append(threading.Thread(target=committer.commit, args=(_reception("2"), _flushed)))
    threads[1].start()
    while not committer._line:
        threads[1].join(0.001)
    assert database.batches == []
    flushing.set()
    for thread in threads:
        thread.join(10)
    assert database.batches == [["2", "1"]]


def test_nobody_waits_long_for_a_file_that_is_not_flushed_yet() -> None:
    database, flushing = _Database(), threading.Event()
    database.go_on.set()
    committer = Committer(database)
    slow = threading.Thread(target=committer.commit, args=(_reception("1"), flushing.wait))
    slow.start()
    assert committer.commit(_reception("2"), _flushed).instance_id == 2
    flushing.set()
    slow.join(10)
    assert database.batches == [["2"], ["1"]]


def test_what_could_not_be_made_durable_is_not_recorded_and_nobody_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("radnode.node.intake.committer.LONGEST_WAIT_S", 60)
    database = _Database()
    database.go_on.set()
    committer = Committer(database)

    def broken() -> None:
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        committer.commit(_reception("1"), broken)
    assert committer.commit(_reception("2"), _flushed).instance_id == 2
    assert database.batches == [["2"]]
