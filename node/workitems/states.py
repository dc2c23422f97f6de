"""The states of a Unified Procedure Step and what moves it (PS3.4 CC.1.1, Tables CC.1.1-2 and CC.1.1-3). Pure.

    SCHEDULED ──claimed with a Transaction UID──▶ IN PROGRESS ──by who has that UID──▶ COMPLETED or CANCELED
        └──────────────asked to cancel, nobody has it in hands──────────────────────▶ CANCELED
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class State(StrEnum):
    """Procedure Step State (0074,1000)."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"

    @property
    def is_final(self) -> bool:
        """Nothing changes any more."""
        return self in (State.COMPLETED, State.CANCELED)


class Key(StrEnum):
    """How the Transaction UID that is shown compares with that of who has the item in hands."""

    RIGHT = "right"
    WRONG = "wrong"
    MISSING = "missing"


ALREADY_CANCELED = 0xB304
ALREADY_COMPLETED = 0xB306
MAY_NOT_BE_UPDATED = 0xC300
WRONG_TRANSACTION = 0xC301
ALREADY_IN_PROGRESS = 0xC302
ONLY_BY_CREATION = 0xC303
NOT_FINAL_YET = 0xC304
NOT_IN_PROGRESS_YET = 0xC310
CANNOT_CANCEL_COMPLETED = 0xC311

WORDS: Mapping[int, str] = {
    ALREADY_CANCELED: "The UPS is already in the requested state of CANCELED.",
    ALREADY_COMPLETED: "The UPS is already in the requested state of COMPLETED.",
    MAY_NOT_BE_UPDATED: "The UPS may no longer be updated.",
    WRONG_TRANSACTION: "The correct Transaction UID was not provided.",
    ALREADY_IN_PROGRESS: "The UPS is already IN PROGRESS.",
    ONLY_BY_CREATION: "The UPS may only become SCHEDULED via N-CREATE.",
    NOT_FINAL_YET: "The UPS has not met final state requirements for the requested state change.",
    NOT_IN_PROGRESS_YET: "The UPS is not yet in the IN PROGRESS state.",
    CANNOT_CANCEL_COMPLETED: "The UPS is already COMPLETED.",
}
"""PS3.4 Tables CC.2.1-2, CC.2.2-2 and CC.2.6-2."""


@dataclass(frozen=True, slots=True)
class Move:
    """What a request comes to: the state afterwards, and the status that says why where it is not the wanted one."""

    state: State
    status: int = 0x0000

    @property
    def is_refused(self) -> bool:
        """A failure; warnings (Bxxx) are none."""
        return self.status & 0xF000 == 0xC000


def change(state: State, wanted: State, key: Key, *, is_ready: bool) -> Move:
    """Change UPS State (PS3.4 CC.2.1). is_ready: it has what Table CC.2.5-3 wants in the final state."""
    if wanted is State.SCHEDULED:
        return Move(state, ONLY_BY_CREATION)
    if wanted is State.IN_PROGRESS:
        return _claim(state, key)
    if state is wanted:
        return Move(state, ALREADY_CANCELED if wanted is State.CANCELED else ALREADY_COMPLETED)
    if state.is_final:
        return Move(state, MAY_NOT_BE_UPDATED)
    if state is State.SCHEDULED:
        return Move(state, NOT_IN_PROGRESS_YET)
    if key is not Key.RIGHT:
        return Move(state, WRONG_TRANSACTION)
    return Move(wanted) if is_ready else Move(state, NOT_FINAL_YET)


def _claim(state: State, key: Key) -> Move:
    if state.is_final:
        return Move(state, MAY_NOT_BE_UPDATED)
    if state is State.IN_PROGRESS:
        return Move(state, ALREADY_IN_PROGRESS if key is Key.RIGHT else WRONG_TRANSACTION)
    return Move(state, WRONG_TRANSACTION) if key is Key.MISSING else Move(State.IN_PROGRESS)


def update(state: State, key: Key) -> int:
    """Status of an N-SET (PS3.4 CC.2.6): who has it in hands changes it, and whoever does while nobody has."""
    if state.is_final:
        return MAY_NOT_BE_UPDATED
    return WRONG_TRANSACTION if state is State.IN_PROGRESS and key is not Key.RIGHT else 0x0000


def cancel(state: State) -> Move:
    """Request UPS Cancel (PS3.4 CC.2.2). Who has it in hands is asked, and need not."""
    match state:
        case State.SCHEDULED:
            return Move(State.CANCELED)
        case State.COMPLETED:
            return Move(state, CANNOT_CANCEL_COMPLETED)
        case State.CANCELED:
            return Move(state, ALREADY_CANCELED)
        case State.IN_PROGRESS:
            return Move(state)
