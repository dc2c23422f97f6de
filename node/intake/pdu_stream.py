"""A connection as a row of PDUs (PS3.8 9.3)."""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING

from radnode.node.intake.connection import STOPPING, ConnectionLost, Silent
from radnode.node.intake.pdus import MAX_CONTROL, MAX_P_DATA, TLS_HANDSHAKE, PduType, Violation

if TYPE_CHECKING:
    from radnode.node.intake.connection import Connection

_BEFORE_ASSOCIATION = 4096
"""Bytes of the buffer of a peer that has not yet said who it is; most requests fit."""
_HEADER = struct.Struct(">BxL")
_P_DATA_TOLERANCE = 6
"""Some senders count the maximum length without the PDV header."""


class PduStream:
    """Reads for the thread that serves the peer: ahead of a PDU whatever has come, as far as one PDU may be long."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._buffer = memoryview(bytearray(_BEFORE_ASSOCIATION))
        self._begin = self._end = 0

    def read(self, within_s: float) -> tuple[PduType, memoryview]:
        """The next PDU and its body, which is valid until the next call. `within_s` is for its first byte.

        No memory is taken for a PDU that is longer than agreed. Raises ConnectionLost, Silent, Violation.
        """
        connection = self._connection
        if connection.stopping:  # a peer that keeps sending would never let us see the end
            raise ConnectionLost(STOPPING)
        if self._begin == self._end:
            self._begin = self._end = 0
            self._end = connection.receive(self._buffer, time.monotonic() + within_s)
        deadline = time.monotonic() + connection.deadlines.pdu
        try:
            self._have(_HEADER.size, deadline)
            kind, length = self._checked(*_HEADER.unpack_from(self._buffer, self._begin))
            self._have(_HEADER.size + length, deadline)
        except Silent:
            raise ConnectionLost(f"a PDU took longer than {connection.deadlines.pdu} s") from None
        body = self._buffer[self._begin + _HEADER.size : self._begin + _HEADER.size + length]
        self._begin += _HEADER.size + length
        return kind, body

    def _have(self, size: int, deadline: float) -> None:
        """So many bytes of the PDU at the front of the buffer."""
        missing = size - (self._end - self._begin)
        if missing <= 0:
            return
        if self._begin + size > len(self._buffer):
            self._to_the_front(size)
        self._connection.fill(self._buffer[self._end : self._end + missing], deadline)
        self._end += missing

    def _to_the_front(self, size: int) -> None:
        held = bytes(self._buffer[self._begin : self._end])
        if size > len(self._buffer):
            room = _HEADER.size + MAX_P_DATA + _P_DATA_TOLERANCE if self._connection.established else size
            self._buffer = memoryview(bytearray(max(size, room)))
        self._buffer[: len(held)] = held
        self._begin, self._end = 0, len(held)

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
