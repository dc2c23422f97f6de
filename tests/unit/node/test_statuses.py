"""What peers are told, and what their answers mean: one table each."""

from __future__ import annotations

from pathlib import Path

import pytest

from radnode.node import statuses
from radnode.node.intake import refusals
from radnode.node.statuses import C_STORE, Outcome, judge_c_store, of_failure
from radnode.storage.errors import DatabaseUnavailable, StorageBroken, StorageError, StorageFull


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StorageFull(Path("spool"), 0), 0xA700),
        (StorageBroken(Path("spool"), 5), 0xA700),
        (DatabaseUnavailable("locked"), 0xA700),
        (StorageError("anything else of storage"), 0xA700),
        (refusals.IdentityMismatch("other UID"), 0xA900),
        (refusals.InvalidUID("empty"), 0x0117),
        (refusals.ContextMismatch("other class"), 0x0122),
        (RuntimeError("a mistake of ours"), 0x0110),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else f"{value:04X}",
)
def test_a_failure_has_its_status(error: Exception, code: int) -> None:
    assert of_failure(error).code == code


@pytest.mark.parametrize("kind", [refusals.Truncated, refusals.Undecodable, refusals.TooComplex,
                                  refusals.MissingIdentity, refusals.OverLimit])  # fmt: skip
def test_what_can_not_be_understood_is_an_error_that_is_not_sent_again(kind: type[Exception]) -> None:
    assert of_failure(kind("")).code & 0xF000 == 0xC000
    assert judge_c_store(of_failure(kind("")).code) is Outcome.PERMANENT


def test_a_failure_of_ours_makes_the_sender_try_again() -> None:
    ours = [StorageFull, StorageBroken, DatabaseUnavailable, StorageError, Exception]
    assert {judge_c_store(C_STORE[kind].code) for kind in ours} == {Outcome.TRANSIENT}


def test_every_refusal_has_an_entry_of_its_own() -> None:
    leaves = [
        kind for kind in vars(refusals).values() if isinstance(kind, type) and not kind.__subclasses__()
    ]
    assert [
        kind.__name__ for kind in leaves if issubclass(kind, refusals.Refused) and kind not in C_STORE
    ] == []


def test_comments_fit_into_an_error_comment() -> None:
    """PS3.7 C.1.2: (0000,0902) is LO, 64 characters of the default repertoire."""
    assert all(len(status.comment) <= 64 and status.comment.isascii() for status in C_STORE.values())


@pytest.mark.catalogue("R3", "R4", "R5")
@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (statuses.SUCCESS, Outcome.STORED),
        (0xB000, Outcome.STORED_WITH_WARNING),
        (0xB006, Outcome.STORED_WITH_WARNING),
        (0xB007, Outcome.STORED_WITH_WARNING),
        (0x0111, Outcome.STORED_WITH_WARNING),
        (0x0110, Outcome.TRANSIENT),
        (0x0213, Outcome.TRANSIENT),
        (0xA700, Outcome.TRANSIENT),
        (0xA770, Outcome.TRANSIENT),
        (0xA900, Outcome.PERMANENT),
        (0xC000, Outcome.PERMANENT),
        (0xC211, Outcome.PERMANENT),
        (0x0117, Outcome.PERMANENT),
        (0x0122, Outcome.PERMANENT),
        (0x0124, Outcome.PERMANENT),
        (0x0211, Outcome.PERMANENT),
        (0x0212, Outcome.PERMANENT),
    ],
    ids=lambda value: f"{value:04X}" if isinstance(value, int) else str(value),
)
def test_an_answer_to_c_store_is_judged(status: int, outcome: Outcome) -> None:
    assert judge_c_store(status) is outcome
