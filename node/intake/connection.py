"""One TCP connection as a row of PDUs, under deadlines that a peer cannot stretch byte by byte."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from dataclasses import dataclass

from radnode.node.intake.pdus import MAX_CONTROL, MAX_P_DATA, PduType, Violation

_KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 20),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000),  # ms
)
"""A peer that lost its power is noticed within 50 s, and within 30 s while an answer is on its way."""

_HEADER = struct.Struct(">BxL")
_STOPPING = "the node is stopping"
_P_DATA_TOLERANCE = 6
"""Some senders count the maximum length without the PDV header."""


class ConnectionLost(Exception):
    """The peer closed, was reset or went away; or the node is stopping."""


class Silent(Exception):
    """The peer sent nothing for as long as it was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Seconds that a peer has.

    request: from the connection to its first byte, a health check's usual life (the ARTIM timer of PS3.8
    9.1.5). pdu: for one PDU from its first to its last byte; 128 KiB in 10 s is a line of 100 kbit/s. linger:
    to read our last word and close.
    """

    request: float = 10.0
    pdu: float = 10.0
    linger: float = 2.0


class Connection:
    """Blocking reads and writes for the thread that serves the peer; `stop` and `cut` may come from any
    thread.
    """

    def __init__(self, peer_socket: socket.socket, host: str, deadlines: Deadlines) -> None:
        self.host = host
        self.deadlines = deadlines
        self.stopping = False
        self.established = False
        self._socket = peer_socket
        self._header = memoryview(bytearray(_HEADER.size))
        self._body = memoryview(bytearray())
        peer_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for level, option, value in _KEEPALIVE:
            peer_socket.setsockopt(level, option, value)

    def read(self, within_s: float) -> tuple[PduType, memoryview]:
        """The next PDU and its body, which is valid until the next call. `within_s` is for its first byte.

        Nothing is read, nor memory taken, for a PDU that is longer than agreed.
        Raises ConnectionLost, Silent, Violation.
        """
        if self.stopping:  # a peer that keeps sending would never let us see the end
            raise ConnectionLost(_STOPPING)
        self._fill(self._header[:1], time.monotonic() + within_s)
        deadline = time.monotonic() + self.deadlines.pdu
        try:
            self._fill(self._header[1:], deadline)
            kind, length = self._checked(*_HEADER.unpack(self._header))
            if len(self._body) < length:
                self._body = memoryview(bytearray(max(length, MAX_P_DATA if self.established else 0)))
            body = self._body[:length]
            self._fill(body, deadline)
        except Silent:
            raise ConnectionLost(f"a PDU took longer than {self.deadlines.pdu} s") from None
        return kind, body

    def send(self, pdu: bytes) -> None:
        """Write one PDU. Raises ConnectionLost."""
        try:
            self._socket.settimeout(self.deadlines.pdu)
            self._socket.sendall(pdu)
        except OSError as error:
            raise ConnectionLost(f"while sending: {error}") from error

    def stop(self) -> None:
        """Let the reading thread find the end of the connection, after its answer to what it works on."""
        self.stopping = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)

    def cut(self) -> None:
        """End the connection at once, in both directions."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self, last_word: bytes = b"") -> None:
        """Send `last_word`, give the peer a moment to read it, close. A close with unread data would destroy
        it.
        """
        deadline = time.monotonic() + self.deadlines.linger
        with contextlib.suppress(OSError):
            if last_word:
                self._socket.settimeout(self.deadlines.linger)
                self._socket.sendall(last_word)
                self._socket.shutdown(socket.SHUT_WR)
                while (left := deadline - time.monotonic()) > 0:
                    self._socket.settimeout(left)
                    if not self._socket.recv(65_536):
                        break
        self._socket.close()

    def _checked(self, kind: int, length: int) -> tuple[PduType, int]:
        if not PduType.ASSOCIATE_RQ <= kind <= PduType.ABORT:
            raise Violation(Violation.UNRECOGNIZED_PDU, f"a PDU of type {kind}")
        longest = MAX_P_DATA + _P_DATA_TOLERANCE if kind == PduType.P_DATA and self.established else MAX_CONTROL
        if length > longest:
            raise Violation(Violation.INVALID_PARAMETER, f"a PDU of {length} bytes where {longest} are allowed")
        return PduType(kind), length

    def _fill(self, view: memoryview, deadline: float) -> None:
        while view:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Silent
            try:
                self._socket.settimeout(left)
                received = self._socket.recv_into(view)
            except TimeoutError:
                raise Silent from None
            except OSError as error:
                raise ConnectionLost(str(error)) from error
            if not received:
                raise ConnectionLost(_STOPPING if self.stopping else "closed by the peer")
            view = view[received:]
