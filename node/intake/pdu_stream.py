"""A connection as a row of PDUs (PS3.8 9.3)."""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING

from radnode.node.intake.connection import STOPPING, ConnectionLost, Silent
from radnode.node.intake.pdus import MAX_CONTROL, MAX_P_DATA, TLS_HANDSHAKE, PduType, Violation

if TYPE_CHECKING:
    from radnode.node.intake.connection import Connection

_HEADER = struct.Struct(">BxL")
_P_DATA_TOLERANCE = 6
"""Some senders count the maximum length without the PDV header."""


class PduStream:
    """Reads for the thread that serves the peer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._header = memoryview(bytearray(_HEADER.size))
        self._body = memoryview(bytearray())

    def read(self, within_s: float) -> tuple[PduType, memoryview]:
        """The next PDU and its body, which is valid until the next call. `within_s` is for its first byte.

        Nothing is read, nor memory taken, for a PDU that is longer than agreed.
        Raises ConnectionLost, Silent, Violation.
        """
        connection = self._connection
        if connection.stopping:  # a peer that keeps sending would never let us see the end
            raise ConnectionLost(STOPPING)
        connection.fill(self._header[:1], time.monotonic() + within_s)
        deadline = time.monotonic() + connection.deadlines.pdu
        try:
            connection.fill(self._header[1:], deadline)
            kind, length = self._checked(*_HEADER.unpack(self._header))
            if len(self._body) < length:
                self._body = memoryview(bytearray(max(length, MAX_P_DATA if connection.established else 0)))
            body = self._body[:length]
            connection.fill(body, deadline)
        except Silent:
            raise ConnectionLost(f"a PDU took longer than {connection.deadlines.pdu} s") from None
        return kind, body

    def _checked(self, kind: int, length: int) -> tuple[PduType, int]:
        established = self._connection.established
        if kind == TLS_HANDSHAKE and not established:
            raise Violation(Violation.UNRECOGNIZED_PDU, "TLS on the port without TLS", is_tls=True)
        if not PduType.ASSOCIATE_RQ <= kind <= PduType.ABORT:
            raise Violation(Violation.UNRECOGNIZED_PDU, f"a PDU of type {kind}")
        longest = MAX_P_DATA + _P_DATA_TOLERANCE if kind == PduType.P_DATA and established else MAX_CONTROL
        if length > longest:
            raise Violation(Violation.INVALID_PARAMETER, f"a PDU of {length} bytes where {longest} are allowed")
        return PduType(kind), length
