"""PS3.4 Tables CC.1.1-2 and CC.1.1-3, row by row."""

from __future__ import annotations

import itertools

import pytest

from radnode.node.workitems import states
from radnode.node.workitems.states import Key, Move, State

SCHEDULED, IN_PROGRESS, COMPLETED, CANCELED = State
RIGHT, WRONG, MISSING = Key


@pytest.mark.parametrize(("wanted", "key", "row"), [
    (SCHEDULED, RIGHT, [0xC303, 0xC303, 0xC303, 0xC303]),
    (SCHEDULED, MISSING, [0xC303, 0xC303, 0xC303, 0xC303]),
    (IN_PROGRESS, RIGHT, [IN_PROGRESS, 0xC302, 0xC300, 0xC300]),
    (IN_PROGRESS, WRONG, [IN_PROGRESS, 0xC301, 0xC300, 0xC300]),
    (IN_PROGRESS, MISSING, [0xC301, 0xC301, 0xC300, 0xC300]),
    (COMPLETED, RIGHT, [0xC310, COMPLETED, 0xB306, 0xC300]),
    (COMPLETED, WRONG, [0xC310, 0xC301, 0xB306, 0xC300]),
    (COMPLETED, MISSING, [0xC310, 0xC301, 0xB306, 0xC300]),
    (CANCELED, RIGHT, [0xC310, CANCELED, 0xC300, 0xB304]),
    (CANCELED, WRONG, [0xC310, 0xC301, 0xC300, 0xB304]),
    (CANCELED, MISSING, [0xC310, 0xC301, 0xC300, 0xB304]),
])
def test_a_change_of_state_moves_or_says_why_not(wanted: State, key: Key, row: list[State | int]) -> None:
    for state, expected in zip(State, row, strict=True):
        move = states.change(state, wanted, key, is_ready=True)
        assert move == (Move(expected) if isinstance(expected, State) else Move(state, expected)), state
        assert move.status in {0, *states.WORDS}


@pytest.mark.parametrize("wanted", [COMPLETED, CANCELED])
def test_nothing_ends_without_what_it_must_have_then(wanted: State) -> None:
    assert states.change(IN_PROGRESS, wanted, RIGHT, is_ready=False) == Move(IN_PROGRESS, 0xC304)


def test_only_who_has_an_item_in_hands_changes_it_and_nobody_once_it_has_ended() -> None:
    allowed = {(state, key) for state, key in itertools.product(State, Key) if not states.update(state, key)}
    assert allowed == {(SCHEDULED, key) for key in Key} | {(IN_PROGRESS, RIGHT)}


def test_a_request_to_cancel_ends_what_nobody_has_in_hands() -> None:
    assert [states.cancel(state) for state in State] == [
        Move(CANCELED), Move(IN_PROGRESS), Move(COMPLETED, 0xC311), Move(CANCELED, 0xB304),
    ]
