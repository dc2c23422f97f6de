"""HTTP/1.1 on one connection, read by h11 under deadlines: a blocking row of requests for the thread that serves it."""

from __future__ import annotations

import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import h11

from radnode.node.dicomweb.multipart import Malformed
from radnode.node.intake.connection import ConnectionLost, Silent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from radnode.node.intake.connection import Connection

LONGEST_HEAD = 16 * 1024
"""Bytes of request line and header fields."""
_PIECE = 64 * 1024
_AT_LEAST = 128 * 1024
"""Bytes of a body for which a client has `SLOWEST_S`, counted while we wait for it."""
SLOWEST_S = 30.0
MOST_INFLATION = 100
"""Bytes that one byte of a compressed body may become; CT images become two to four, gzip can make a thousand."""
_FREE_INFLATION = 16 * 1024 * 1024
"""Bytes of which nothing is thought yet: an empty image compresses well."""


class NotHttp(Exception):
    """What came is no request; the sentence says why. status: what it is answered with."""

    def __init__(self, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.status = status


class TooSlow(Exception):
    """The client sends less than it has time for."""


class OverInflated(Exception):
    """A compressed body becomes more than it honestly can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The head of a request. fields: by name in lower case; those of one name joined by commas (RFC 9110 5.3)."""

    method: str
    target: str
    fields: Mapping[str, str]


class HttpStream:
    """Reads requests and writes answers, in turn."""

    def __init__(self, connection: Connection, slowest_s: float = SLOWEST_S) -> None:
        self._connection = connection
        self._slowest_s = slowest_s
        self._protocol = h11.Connection(h11.SERVER, max_incomplete_event_size=LONGEST_HEAD)
        self._buffer = memoryview(bytearray(_PIECE))
        self._head_alone = False

    def request(self, within_s: float) -> Request:
        """The next request, which has so long to come and to end its head.

        Raises NotHttp, and ConnectionLost or Silent, which is how a connection ends that is not needed any more.
        """
        deadline = time.monotonic() + within_s
        self._head_alone = False
        try:
            while (event := self._protocol.next_event()) is h11.NEED_DATA:
                self._receive(deadline)
        except h11.RemoteProtocolError as error:
            raise NotHttp(str(error), error.error_status_hint) from error
        if not isinstance(event, h11.Request):
            raise ConnectionLost("closed by the peer")
        self._head_alone = event.method == b"HEAD"
        fields: dict[str, str] = {}
        for name, value in event.headers:
            key, text = name.decode("ascii"), value.decode("latin-1")
            fields[key] = f"{fields[key]},{text}" if key in fields else text
        if "transfer-encoding" in fields and "content-length" in fields:  # RFC 9112 6.1: smuggling
            raise NotHttp("both Transfer-Encoding and Content-Length")
        return Request(
            method=event.method.decode("ascii"), target=event.target.decode("latin-1"), fields=fields
        )

    def body(self) -> Iterator[bytes]:
        """The body of the request in pieces as they come. Raises NotHttp, TooSlow, ConnectionLost."""
        if self._protocol.they_are_waiting_for_100_continue:
            self._send(h11.InformationalResponse(status_code=100, headers=[]))
        waited, since = 0.0, 0
        while True:
            try:
                event = self._protocol.next_event()
            except h11.RemoteProtocolError as error:
                raise NotHttp(str(error), error.error_status_hint) from error
            if event is h11.NEED_DATA:
                began = time.monotonic()
                try:
                    since += self._receive(began + self._slowest_s - waited)
                except Silent:
                    raise TooSlow from None
                waited += time.monotonic() - began
                if since >= _AT_LEAST:
                    waited, since = 0.0, 0
            elif isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return
            else:
                raise ConnectionLost("closed by the peer")

    def answer(self, status: int, fields: Iterable[tuple[str, str]], content: bytes) -> bool:
        """Write the whole answer; whether another request may follow. Raises ConnectionLost."""
        keep = self._protocol.their_state is h11.DONE and not self._connection.stopping
        headers = [("Content-Length", str(len(content))), *fields, *([] if keep else [("Connection", "close")])]
        if self._protocol.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._send(h11.Response(status_code=status, headers=headers))
            if not self._head_alone:  # RFC 9110 9.3.2
                self._send(h11.Data(data=content))
            self._send(h11.EndOfMessage())
        if keep and self._protocol.our_state is h11.DONE:
            self._protocol.start_next_cycle()
            return True
        return False

    def _send(self, event: h11.InformationalResponse | h11.Response | h11.Data | h11.EndOfMessage) -> None:
        if content := self._protocol.send(event):
            self._connection.send(content)

    def _receive(self, deadline: float) -> int:
        if self._connection.stopping:
            raise ConnectionLost("the node is stopping")
        received = self._connection.receive(self._buffer, deadline)
        self._protocol.receive_data(bytes(self._buffer[:received]))
        return received


def inflated(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """What is compressed by gzip (RFC 1952), in pieces that are never large. Raises Malformed, OverInflated."""
    stream = zlib.decompressobj(wbits=31)
    taken = given = 0
    for each in pieces:
        if stream.eof:
            raise Malformed("something follows the end of gzip")
        taken += len(each)
        for piece in _decompressed(stream, each):
            given += len(piece)
            if given > max(_FREE_INFLATION, MOST_INFLATION * taken):
                raise OverInflated
            yield piece
        if stream.unused_data:
            raise Malformed("something follows the end of gzip")
    if not stream.eof:
        raise Malformed("the compressed body has no end")


def _decompressed(stream: zlib._Decompress, left: bytes) -> Iterator[bytes]:
    """What these bytes complete."""
    more = True
    while more and not stream.eof:
        try:
            piece = stream.decompress(left, _PIECE)
        except zlib.error as error:
            raise Malformed("the body is not what gzip makes") from error
        left = stream.unconsumed_tail
        more = bool(left) or len(piece) == _PIECE
        if piece:
            yield piece
