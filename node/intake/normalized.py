"""Requests of storage commitment at our door (PS3.4 J.3.2, J.3.3): one small data set each, kept in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from radnode.node import commitment_sets
from radnode.node.intake import commands
from radnode.node.intake.negotiation import IMPLICIT_VR_LITTLE_ENDIAN
from radnode.node.intake.pdus import Violation
from radnode.node.statuses import (
    DUPLICATE_TRANSACTION,
    INVALID_ARGUMENT,
    NO_SUCH_ACTION_TYPE,
    NO_SUCH_EVENT_TYPE,
    NOT_AUTHORIZED,
    PROCESSING_FAILURE,
    RESOURCE_LIMITATION,
    UNRECOGNIZED_OPERATION,
    Status,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from radnode.node.commitment_sets import Transaction
    from radnode.node.intake.commands import Command
    from radnode.node.intake.negotiation import Context
    from radnode.node.intake.storing import Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentDesk:
    """Who takes what a configured peer says, and answers with a status; what is answered with Success is durable.

    reported: of what the node asked for. requested: of what the peer wants the node to vouch for.
    """

    reported: Callable[[Transaction, str], int]
    requested: Callable[[Transaction, str], int]


_COMMENTS = {
    DUPLICATE_TRANSACTION: "this transaction is about other objects",
    INVALID_ARGUMENT: "unknown transaction, or one without references",
    NOT_AUTHORIZED: "this node does not vouch for images here",
    PROCESSING_FAILURE: "not recorded; try again later",
    RESOURCE_LIMITATION: "too many requests wait for their report",
}


class Gathering:
    """The data set of a request while it arrives. Whatever is wrong with it, it is read to its end and answered."""

    def __init__(self, command: Command, context: Context, origin: Origin, desk: CommitmentDesk | None) -> None:
        self.received = 0
        self._command = command
        self._implicit_vr = context.transfer_syntax == IMPLICIT_VR_LITTLE_ENDIAN
        self._origin = origin
        self._desk = desk
        self._content = bytearray()

    def write(self, fragment: memoryview) -> None:
        """The next piece. Raises Violation when a peer goes on and on."""
        self.received += len(fragment)
        if self.received <= commitment_sets.LONGEST:
            self._content += fragment
        elif self.received > 2 * commitment_sets.LONGEST:
            raise Violation(Violation.INVALID_PARAMETER, "a data set that does not end")

    def finish(self) -> Status:
        """The data set is whole: act, or say why not."""
        if self._desk is None:
            return Status(UNRECOGNIZED_OPERATION, "no storage commitment here")
        if not self._origin.is_configured:
            return Status(NOT_AUTHORIZED, "storage commitment is for configured peers")
        is_report = self._command.field == commands.N_EVENT_REPORT_RQ
        if is_report and self._command.type_id not in (commitment_sets.ALL_COMMITTED, commitment_sets.SOME_FAILED):
            return Status(NO_SUCH_EVENT_TYPE, "no event of storage commitment")
        if not is_report and self._command.type_id != commitment_sets.REQUEST_STORAGE_COMMITMENT:
            return Status(NO_SUCH_ACTION_TYPE, "no action of storage commitment")
        if self.received > commitment_sets.LONGEST:
            return Status(RESOURCE_LIMITATION, "too many references at once")
        try:
            transaction = commitment_sets.read(bytes(self._content), implicit_vr=self._implicit_vr)
        except commitment_sets.Unreadable:
            return Status(INVALID_ARGUMENT, "the data set cannot be read")
        code = (self._desk.reported if is_report else self._desk.requested)(transaction, self._origin.source)
        return Status(code, _COMMENTS.get(code, ""))

    def discard(self) -> None:
        """Nothing is left of it."""
        self._content.clear()
