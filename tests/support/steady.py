"""A modality that sends at a constant rate, notes how long each answer took, and does not give up."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from support.receiver import Peer, association_request

if TYPE_CHECKING:
    from collections.abc import Iterable

ASSOCIATE_AC = 2  # PS3.8 9.3.3
RELEASE_RQ = b"\5\0\0\0\0\4\0\0\0\0"  # PS3.8 9.3.6
SUCCESS = 0x0000


class Steady:
    """answers: (moment of the request by the monotonic clock, seconds until its answer), of every image."""

    def __init__(self, port: int, images_per_second: float) -> None:
        self.answers: list[tuple[float, float]] = []
        self._port = port
        self._every_s = 1 / images_per_second
        self._due = time.monotonic()

    def send(self, images: Iterable[tuple[str, bytes]]) -> None:
        """SOP Instance UIDs and data sets over one association, released at the end; over more where the node dies."""
        peer: Peer | None = None
        for uid, data in images:
            self._wait()
            answered = False
            while not answered:
                try:
                    peer = peer or associated(self._port)
                    began = time.monotonic()
                    status = peer.store(data, uid)
                except OSError:  # refused, cut, or out of time: the node is down
                    closed(peer)
                    peer = None
                    time.sleep(0.05)
                    continue
                assert status == SUCCESS, hex(status)
                self.answers.append((began, time.monotonic() - began))
                answered = True
        if peer is not None:
            with suppress(OSError):
                peer.send(RELEASE_RQ)
                peer.read()  # its answer: whoever asked ends the connection (PS3.8 9.2.3)
        closed(peer)

    def _wait(self) -> None:
        """Until the next image is due. What was late is caught up with for a second, not for ever."""
        self._due = max(self._due + self._every_s, time.monotonic() - 1)
        time.sleep(max(self._due - time.monotonic(), 0))


def associated(port: int, calling: str = "TESTSCU") -> Peer:
    """An association with the node. Raises OSError where there is none."""
    peer = Peer(port)
    try:
        peer.send(association_request(calling=calling))
        if peer.read()[0] != ASSOCIATE_AC:
            raise ConnectionRefusedError("the association was refused")
    except OSError:
        peer.socket.close()
        raise
    return peer


def closed(peer: Peer | None) -> None:
    """Close the connection, if there is one."""
    if peer is not None:
        with suppress(OSError):
            peer.socket.close()


def percentile(seconds: Iterable[float], part: float) -> float:
    """The value that this part of all is not above. Raises ValueError without any."""
    ordered = sorted(seconds)
    if not ordered:
        raise ValueError("no values")
    return ordered[min(int(part * len(ordered)), len(ordered) - 1)]
