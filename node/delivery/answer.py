"""What a destination says to one object, whichever way it was sent. And the way itself, as the sender sees it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from radnode.node import statuses
from radnode.node.statuses import Outcome

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What it means, and why in words.

    status: that of C-STORE or the failure reason of STOW-RS, which are of one table (PS3.18 I.2.2); None where it
    named none. too_large: another form of the result may be taken.
    """

    outcome: Outcome
    status: int | None = None
    reason: str = ""
    too_large: bool = False


class NotAccepted(Exception):
    """The destination accepted no presentation context for the SOP class: it does not store such objects."""


class Damaged(Exception):
    """The file is not the one that was recorded: it is never sent."""


def intact(path: Path, digest: str) -> bytes:
    """The kept bytes. Raises :class:`Damaged`, OSError."""
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise Damaged
    return content


class Storing(Protocol):
    """A connection over which objects are stored one after the other."""

    @property
    def is_established(self) -> bool:
        """Whether another object can be sent."""
        ...

    def store(
        self, path: Path, digest: str, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str
    ) -> Answer:
        """Send one object, stored in this transfer syntax.

        Raises :class:`NotAccepted`, :class:`Damaged`, OSError for the file, and
        :class:`~radnode.node.association.PeerUnreachable` where the destination takes nothing now.
        """
        ...


def taken() -> Answer:
    """The destination has it."""
    return Answer(outcome=Outcome.STORED)


def of_status(status: int, comment: str = "") -> Answer:
    """An answer that names a status."""
    reason = f"status 0x{status:04X} {comment}".strip()
    return Answer(outcome=statuses.judge_c_store(status), status=status, reason=reason)


def none(reason: str) -> Answer:
    """Nobody knows what became of it: it is sent again."""
    return Answer(outcome=Outcome.TRANSIENT, reason=reason)
