"""The data set of a small request while it arrives, kept in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from radnode.node import commitment_sets
from radnode.node.intake.negotiation import IMPLICIT_VR_LITTLE_ENDIAN
from radnode.node.intake.pdus import Violation

if TYPE_CHECKING:
    from radnode.node.intake.commands import Command
    from radnode.node.intake.negotiation import Context
    from radnode.node.intake.storing import Origin


class InMemory:
    """Whatever is wrong with it, it is read to its end and answered. longest: bytes that are kept."""

    longest: ClassVar[int] = commitment_sets.LONGEST

    def __init__(self, command: Command, context: Context, origin: Origin) -> None:
        self.received = 0
        self._command = command
        self._sop_class_uid = context.abstract_syntax
        self._implicit_vr = context.transfer_syntax == IMPLICIT_VR_LITTLE_ENDIAN
        self._origin = origin
        self._content = bytearray()

    def write(self, fragment: memoryview) -> None:
        """The next piece. Raises Violation when a peer goes on and on."""
        self.received += len(fragment)
        if self.received <= self.longest:
            self._content += fragment
        elif self.received > 2 * self.longest:
            raise Violation(Violation.INVALID_PARAMETER, "a data set that does not end")

    def discard(self) -> None:
        """Nothing is left of it."""
        self._content.clear()
