"""Requests of normalized services at our door: one small data set each, kept in memory.

Storage commitment (PS3.4 J.3.2, J.3.3), Modality Performed Procedure Step (F.7.2), Instance Availability (R.3.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from radnode.node import commitment_sets, performed_sets
from radnode.node.commitment_sets import PUSH_MODEL
from radnode.node.intake import commands
from radnode.node.intake.element_walk import Unreadable
from radnode.node.intake.gathered import InMemory
from radnode.node.intake.header_walk import is_uid
from radnode.node.performed_sets import AVAILABILITY, MPPS
from radnode.node.statuses import (
    DUPLICATE_INSTANCE,
    DUPLICATE_TRANSACTION,
    INVALID_ARGUMENT,
    NO_SUCH_ACTION_TYPE,
    NO_SUCH_EVENT_TYPE,
    NO_SUCH_INSTANCE,
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
    from radnode.node.intake.orders import OrderAnswer, OrderRequest
    from radnode.node.intake.storing import Origin
    from radnode.node.performed_sets import Performed


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentDesk:
    """Who takes what a configured peer says, and answers with a status; what is answered with Success is durable.

    reported: of what the node asked for. requested: of what the peer wants the node to vouch for. performed: of what
    the peer says was performed. ordered: requests about work items.
    """

    reported: Callable[[Transaction, str], int]
    requested: Callable[[Transaction, str], int]
    performed: Callable[[Performed, str], int] | None = None
    ordered: Callable[[OrderRequest, str], OrderAnswer] | None = None


_COMMENTS = {
    DUPLICATE_TRANSACTION: "this transaction is about other objects",
    INVALID_ARGUMENT: "unknown transaction, or one without references",
    NOT_AUTHORIZED: "this node does not vouch for images here",
    PROCESSING_FAILURE: "not recorded; try again later",
    RESOURCE_LIMITATION: "too many requests wait for their report",
}
_OF_PERFORMED = {
    DUPLICATE_INSTANCE: "this step or notice is known",
    NO_SUCH_INSTANCE: "no such step",
    PROCESSING_FAILURE: "not recorded, or the step has ended",
}
SERVICES = frozenset({PUSH_MODEL, MPPS, AVAILABILITY})


def gathering(
    command: Command, context: Context, origin: Origin, desk: CommitmentDesk | None
) -> Gathering | PerformedGathering | None:
    """For the data set of a request, None where the service has no such request."""
    wanted = {
        PUSH_MODEL: (commands.N_EVENT_REPORT_RQ, commands.N_ACTION_RQ),
        MPPS: (commands.N_CREATE_RQ, commands.N_SET_RQ),
        AVAILABILITY: (commands.N_CREATE_RQ,),
    }[context.abstract_syntax]
    if command.field not in wanted or not command.has_data_set:
        return None
    made = Gathering if context.abstract_syntax == PUSH_MODEL else PerformedGathering
    return made(command, context, origin, desk)


class _ForDesk(InMemory):
    def __init__(self, command: Command, context: Context, origin: Origin, desk: CommitmentDesk | None) -> None:
        super().__init__(command, context, origin)
        self._desk = desk


class Gathering(_ForDesk):
    """Of storage commitment."""

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


class PerformedGathering(_ForDesk):
    """Of what was performed."""

    def finish(self) -> Status:
        """The data set is whole: record it, or say why not."""
        if self._desk is None or self._desk.performed is None:
            return Status(UNRECOGNIZED_OPERATION, "not taken here")
        if not self._origin.is_configured:
            return Status(NOT_AUTHORIZED, "this is for configured peers")
        if self.received > commitment_sets.LONGEST:
            return Status(RESOURCE_LIMITATION, "too many references at once")
        uid = self._command.sop_instance_uid
        if not is_uid(uid):
            return Status(INVALID_ARGUMENT, "no SOP Instance UID")
        try:
            statement = performed_sets.read(
                self._sop_class_uid, uid.decode("ascii"), bytes(self._content),
                is_new=self._command.field == commands.N_CREATE_RQ, implicit_vr=self._implicit_vr,
            )
        except Unreadable:
            return Status(INVALID_ARGUMENT, "the data set cannot be read, or lacks something")
        code = self._desk.performed(statement, self._origin.source)
        return Status(code, _OF_PERFORMED.get(code, ""))
