"""What becomes of a result when its destination was asked for storage commitment (PS3.4 Annex J). Pure.

    a transaction:  ASKED ──N-EVENT-REPORT, at any time, on any association──▶ REPORTED
                      ├──── N-ACTION answered with a failure ────────────────▶ REFUSED
                      └──── no report within 24 hours ───────────────────────▶ TIMED_OUT ──a late report──▶ REPORTED

Of each object of a transaction its destination *says* something, in a report, in its answer to N-ACTION, or by its
silence; :func:`decide` says what follows.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

TIME_OUT = timedelta(hours=24)
"""An archive may commit only once a tape is written or a night has passed; a day without a word is an answer."""


class Said(StrEnum):
    """What a destination says of one object."""

    COMMITTED = "committed"
    MISSING = "missing"
    BUSY = "busy"
    CONFLICT = "conflict"
    REFUSED = "refused"
    SILENT = "silent"
    NOT_OFFERED = "not offered"


class Verdict(StrEnum):
    """What follows. LOOK: it is looked for by C-FIND instead. DEAD: nothing more is done before somebody looks."""

    PROVEN = "proven"
    SEND_AGAIN = "send again"
    ASK_AGAIN = "ask again"
    LOOK = "look"
    DEAD = "dead"


REASONS: Mapping[int, tuple[Said, str]] = {
    0x0110: (Said.BUSY, "processing failure"),
    0x0112: (Said.MISSING, "no such object instance"),
    0x0119: (Said.CONFLICT, "it holds another object under this UID"),
    0x0122: (Said.REFUSED, "SOP class not supported"),
    0x0131: (Said.BUSY, "duplicate transaction UID"),
    0x0213: (Said.BUSY, "resource limitation"),
}
"""Failure Reason (0008,1197) as PS3.3 C.14.1.1 defines it for storage commitment; also as the status of an N-ACTION."""


def said_by(failure: int | None) -> Said:
    """What a failure reason means, None for none."""
    if failure is None:
        return Said.COMMITTED
    return REASONS[failure][0] if failure in REASONS else Said.REFUSED


def in_words(failure: int) -> str:
    """A failure reason for people: its number, and its meaning where the standard gives it one."""
    return f"0x{failure:04X} {REASONS[failure][1]}" if failure in REASONS else f"0x{failure:04X}"


def decide(said: Said, *, asked_for: timedelta, answers_find: bool) -> Verdict:
    """What follows for an object.

    asked_for: since its destination was first asked about it after it was sent. A destination that cannot be asked by
    C-FIND and does not commit has proven nothing, so the result is given up where an administrator sees it.
    """
    instead = Verdict.LOOK if answers_find else Verdict.DEAD
    match said:
        case Said.COMMITTED:
            return Verdict.PROVEN
        case Said.MISSING:
            return Verdict.SEND_AGAIN
        case Said.CONFLICT:
            return Verdict.DEAD  # it would be found by its UID, and be something else
        case Said.REFUSED | Said.SILENT:
            return instead
        case Said.NOT_OFFERED if answers_find:
            return Verdict.LOOK
        case Said.BUSY | Said.NOT_OFFERED:
            return instead if asked_for >= TIME_OUT else Verdict.ASK_AGAIN
