"""Requests of Unified Procedure Step at our door (PS3.4 Annex CC): UPS Push, UPS Watch and UPS Query for our own work
items, UPS Event for what managers tell of theirs.

What they carry is kept in memory, and is taken apart by whoever takes the order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from radnode.node.intake import commands
from radnode.node.intake.gathered import InMemory
from radnode.node.intake.header_walk import is_uid
from radnode.node.intake.negotiation import UPS_EVENT, UPS_PUSH, UPS_QUERY, UPS_WATCH
from radnode.node.statuses import INVALID_ARGUMENT, NOT_AUTHORIZED, RESOURCE_LIMITATION, UNRECOGNIZED_OPERATION, Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from radnode.node.intake.commands import Command
    from radnode.node.intake.negotiation import Context
    from radnode.node.intake.storing import Origin

LONGEST = 1 << 20
"""Bytes of a data set, as for UPS-RS."""
SERVICES = {
    UPS_PUSH: (commands.N_CREATE_RQ, commands.N_GET_RQ, commands.N_ACTION_RQ),
    UPS_WATCH: (commands.C_FIND_RQ, commands.N_GET_RQ, commands.N_ACTION_RQ),
    UPS_EVENT: (commands.N_EVENT_REPORT_RQ,),
    UPS_QUERY: (commands.C_FIND_RQ, commands.N_GET_RQ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """What a configured peer asks. field: of the command. content: the data set, little endian; empty: there is none.

    attributes: tags that an N-GET asks for; none: all.
    """

    field: int
    uid: str
    type_id: int
    content: bytes
    implicit_vr: bool
    attributes: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAnswer:
    """What it is told. content: a data set with the last word. found: one for each match before it."""

    status: Status
    content: bytes = b""
    found: tuple[bytes, ...] = ()


class OrderGathering(InMemory):
    """Of work items."""

    longest = LONGEST

    def __init__(
        self, command: Command, context: Context, origin: Origin,
        desk: Callable[[OrderRequest, str], OrderAnswer] | None,
    ) -> None:
        super().__init__(command, context, origin)
        self._desk = desk

    def finish(self) -> OrderAnswer:
        """It is whole: have it answered, or say why not."""
        command = self._command
        if self._desk is None or command.field not in SERVICES[self._sop_class_uid]:
            return _no(UNRECOGNIZED_OPERATION, "not done with work items here")
        if not self._origin.is_configured:
            return _no(NOT_AUTHORIZED, "work items are for configured peers")
        if self.received > LONGEST:
            return _no(RESOURCE_LIMITATION, "too large for a work item")
        if command.field != commands.C_FIND_RQ and not is_uid(command.sop_instance_uid):
            return _no(INVALID_ARGUMENT, "the request names no UID of a work item")
        return self._desk(OrderRequest(
            field=command.field, uid=command.sop_instance_uid.decode("ascii", "replace"), type_id=command.type_id,
            content=bytes(self._content), attributes=command.attributes,
            implicit_vr=self._implicit_vr,
        ), self._origin.source)


def _no(code: int, comment: str) -> OrderAnswer:
    return OrderAnswer(status=Status(code, comment))
