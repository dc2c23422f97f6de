"""The frames of MLLP (HL7 v2 Transport: MLLP Release 1): a message between 0x0B and 0x1C 0x0D."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from radnode.node.intake.connection import Connection

START, END = b"\x0b", b"\x1c\r"
_CHUNK = 65_536


class FrameBroken(Exception):
    """What came is no frame, or larger than it may be; nothing after it can be understood."""


def framed(message: bytes) -> bytes:
    """The message as it travels."""
    return START + message + END


class Frames:
    """Reads one frame after the other from a connection."""

    def __init__(self, connection: Connection, largest: int) -> None:
        """largest: bytes of a message."""
        self._connection = connection
        self._largest = largest
        self._held = bytearray()
        self._view = memoryview(bytearray(_CHUNK))

    @property
    def pending(self) -> bool:
        """Whether something came that nobody has read."""
        return bool(self._held.strip(b"\r\n"))

    def read(self, first_s: float, whole_s: float) -> bytes:
        """The next message. first_s: until it begins; whole_s: from there to its end, in seconds.

        Raises :class:`FrameBroken`, :class:`~radnode.node.intake.connection.Silent`, ConnectionLost.
        """
        deadline = time.monotonic() + first_s
        while not self.pending:
            self._held.clear()
            self._receive(deadline)
        del self._held[: len(self._held) - len(self._held.lstrip(b"\r\n"))]
        if self._held[:1] != START:
            raise FrameBroken("what came does not begin as MLLP does")
        deadline = time.monotonic() + whole_s
        looked = 0
        while (end := self._held.find(END, max(0, looked - 1))) < 0:
            looked = len(self._held)
            if looked > self._largest + len(START):
                raise FrameBroken(f"a message of more than {self._largest} bytes")
            self._receive(deadline)
        if end - len(START) > self._largest:
            raise FrameBroken(f"a message of more than {self._largest} bytes")
        message = bytes(self._held[len(START):end])
        del self._held[: end + len(END)]
        return message

    def _receive(self, deadline: float) -> None:
        received = self._connection.receive(self._view, deadline)
        self._held += self._view[:received]
