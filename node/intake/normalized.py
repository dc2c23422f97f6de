"""Requests of storage commitment at our door (PS3.4 J.3.2, J.3.3): one small data set each, kept in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from radnode.node import commitment_sets
from radnode.node.intake import commands
from radnode.node.intake.negotiation import IMPLICIT_VR_LITTLE_ENDIAN
from radnode.node.intake.pdus import Violation
from radnode.node.statuses import (
    INVALID_ARGUMENT,
    NO_SUCH_EVENT_TYPE,
    NOT_AUTHORIZED,
    RESOURCE_LIMITATION,
    SUCCESS,
    UNRECOGNIZED_OPERATION,
    Status,
)

if TYPE_CHECKING:
    from radnode.node.commitment_sets import Transaction
    from radnode.node.intake.commands import Command
    from radnode.node.intake.negotiation import Context
    from radnode.node.intake.storing import Origin


class TakesReports(Protocol):
    """Who asked for storage commitment."""

    def reported(self, report: Transaction, by: str) -> int:
        """Take a report of a configured peer; what is answered with Success is durable."""
        ...


class Gathering:
    """The data set of a request while it arrives. Whatever is wrong with it, it is read to its end and answered."""

    def __init__(self, command: Command, context: Context, origin: Origin, reports: TakesReports | None) -> None:
        self.received = 0
        self._command = command
        self._implicit_vr = context.transfer_syntax == IMPLICIT_VR_LITTLE_ENDIAN
        self._origin = origin
        self._reports = reports
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
        if self._command.field != commands.N_EVENT_REPORT_RQ or self._reports is None:
            return Status(UNRECOGNIZED_OPERATION, "this node takes reports of storage commitment only")
        if self._command.type_id not in (commitment_sets.ALL_COMMITTED, commitment_sets.SOME_FAILED):
            return Status(NO_SUCH_EVENT_TYPE, "no event of storage commitment")
        if not self._origin.is_configured:
            return Status(NOT_AUTHORIZED, "only configured peers report")
        if self.received > commitment_sets.LONGEST:
            return Status(RESOURCE_LIMITATION, "too many references in one report")
        try:
            report = commitment_sets.read(bytes(self._content), implicit_vr=self._implicit_vr)
        except commitment_sets.Unreadable:
            return Status(INVALID_ARGUMENT, "the report cannot be read")
        code = self._reports.reported(report, self._origin.source)
        return Status(code, "" if code == SUCCESS else "unknown transaction" if code == INVALID_ARGUMENT else
                      "not recorded; report again later")

    def discard(self) -> None:
        """Nothing is left of it."""
        self._content.clear()
