"""One TCP connection, in TLS or not, as bytes under deadlines that a peer cannot stretch byte by byte."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from radnode.node.security.certificates import CertificateUnreadable, from_der
from radnode.node.security.tls import in_words

if TYPE_CHECKING:
    from radnode.node.security.certificates import Certificate

_KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 20),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000),  # ms
)
"""A peer that lost its power is noticed within 50 s, and within 30 s while an answer is on its way."""

_TIMEVAL = struct.Struct("ll")
STOPPING = "the node is stopping"


class ConnectionLost(Exception):
    """The peer closed, was reset or went away; or the node is stopping."""


class Silent(Exception):
    """The peer sent nothing for as long as it was given."""


class HandshakeFailed(Exception):
    """No TLS with this peer; the sentence says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Seconds that a peer has.

    request: from the connection to its first byte, a health check's usual life (the ARTIM timer of PS3.8
    9.1.5), and for a whole handshake of TLS. pdu: for one PDU from its first to its last byte; 128 KiB in 10 s is a
    line of 100 kbit/s. linger: to read our last word and close. drain: to end by itself what it does when the node
    stops, if it is not silent.
    """

    request: float = 10.0
    pdu: float = 10.0
    linger: float = 2.0
    drain: float = 15.0


class Connection:
    """Blocking reads and writes for the thread that serves the peer; `stop` and `cut` may come from any
    thread.

    Without TLS the kernel keeps the deadlines (SO_RCVTIMEO, MSG_WAITALL): Python's own would be three calls for every
    few packets, each of which has all threads of the process compete for the interpreter.

    certificate: what the peer has shown in TLS, and its authority is ours.
    """

    def __init__(self, peer_socket: socket.socket, host: str, deadlines: Deadlines) -> None:
        """peer_socket: with TLS, wrapped and before its handshake."""
        self.host = host
        self.deadlines = deadlines
        self.stopping = False
        self.established = False
        self.heard_at = time.monotonic()
        self.certificate: Certificate | None = None
        self._socket = peer_socket
        self._is_plain = not isinstance(peer_socket, ssl.SSLSocket)
        peer_socket.settimeout(None)
        peer_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for level, option, value in _KEEPALIVE:
            peer_socket.setsockopt(level, option, value)

    def shake_hands(self) -> None:
        """Begin TLS, where the port has it. Raises HandshakeFailed, Silent, ConnectionLost."""
        if not isinstance(self._socket, ssl.SSLSocket):
            return
        try:
            self._socket.settimeout(self.deadlines.request)  # of all its messages together
            self._socket.do_handshake()
            shown = self._socket.getpeercert(binary_form=True)
            self.certificate = from_der(shown) if shown else None
        except TimeoutError:
            raise Silent from None
        except ssl.SSLCertVerificationError as error:
            raise HandshakeFailed(f"its certificate is refused: {error.verify_message}") from error
        except ssl.SSLError as error:
            raise HandshakeFailed(in_words(error)) from error
        except CertificateUnreadable as error:
            raise HandshakeFailed(str(error)) from error
        except OSError as error:
            raise ConnectionLost(str(error)) from error

    def fill(self, view: memoryview, deadline: float) -> None:
        """Read until `view` is full or the monotonic clock says `deadline`. Raises ConnectionLost, Silent."""
        while view:
            view = view[self.receive(view, deadline, socket.MSG_WAITALL) :]

    def receive(self, view: memoryview, deadline: float, flags: int = 0) -> int:
        """Read what is there, at least a byte; how many there were. Raises ConnectionLost, Silent.

        flags: of recv(2); in TLS there are none.
        """
        left = deadline - time.monotonic()
        if left <= 0:
            raise Silent
        try:
            if self._is_plain:
                seconds = int(left)
                wait = _TIMEVAL.pack(seconds, max(1, int((left - seconds) * 1e6)))  # zero would be for ever
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, wait)
                received = self._socket.recv_into(view, 0, flags)
            else:
                self._socket.settimeout(left)
                received = self._socket.recv_into(view)
        except (TimeoutError, BlockingIOError):
            raise Silent from None
        except OSError as error:
            raise ConnectionLost(str(error)) from error
        if not received:
            raise ConnectionLost(STOPPING if self.stopping else "closed by the peer")
        self.heard_at = time.monotonic()
        return received

    def send(self, content: bytes) -> None:
        """Write all of it. Raises ConnectionLost."""
        try:
            self._socket.settimeout(self.deadlines.pdu)
            self._socket.sendall(content)
            if self._is_plain:
                self._socket.settimeout(None)
        except OSError as error:
            raise ConnectionLost(f"while sending: {error}") from error

    def stop(self) -> None:
        """Let the reading thread find the end of the connection, after its answer to what it works on."""
        self.stopping = True
        self._shut(socket.SHUT_RD)

    def cut(self) -> None:
        """End the connection at once, in both directions."""
        self._shut(socket.SHUT_RDWR)

    def close(self, last_word: bytes = b"") -> None:
        """Send `last_word` and leave it to the peer to close (Sta13 of PS3.8 9.2.3), for a moment. One that finds the
        connection closed along with our word may take it for lost; and a close with unread data would destroy it.
        """
        if last_word:
            deadline = time.monotonic() + self.deadlines.linger
            with contextlib.suppress(OSError):
                self._socket.settimeout(self.deadlines.linger)
                self._socket.sendall(last_word)
            self._drop_until(deadline)
        self._socket.close()

    def linger(self, deadline: float) -> None:
        """Say that nothing more comes, and drop what the peer still sends until it closes."""
        with contextlib.suppress(OSError, ValueError):
            if isinstance(self._socket, ssl.SSLSocket):
                self._socket.settimeout(max(0.01, deadline - time.monotonic()))
                self._socket.unwrap()
        self._shut(socket.SHUT_WR)
        self._drop_until(deadline)

    def _drop_until(self, deadline: float) -> None:
        """Read what the peer still sends and forget it, until it closes."""
        with contextlib.suppress(OSError):
            while (left := deadline - time.monotonic()) > 0:
                self._socket.settimeout(left)
                if not socket.socket.recv(self._socket, 65_536):
                    break

    def _shut(self, how: int) -> None:
        """On the socket itself: that of an SSLSocket would have its reader take what is encrypted for plain."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, how)

