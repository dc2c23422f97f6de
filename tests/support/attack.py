"""Everything at once that peers have done to receivers: silent, trickling, boasting, sending ahead.

All from addresses of their own, and all on threads of this process, so what they cost is counted against the receiver.
"""

from __future__ import annotations

import contextlib
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from support.receiver import Peer, data_set, store_request

if TYPE_CHECKING:
    from collections.abc import Callable

SILENT, TRICKLING, BOASTING = 200, 12, 1
SILENT_IN_TLS = 30
_HOSTS = [f"127.0.0.{number}" for number in range(2, 12)]
_LONGEST_PDU = struct.pack(">BxL", 4, 0xFFFFFFFF)


@dataclass(slots=True)
class Tally:
    """What the attackers got done."""

    trickled: int = 0
    boasted: int = 0
    sent_ahead: int = 0
    cut: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, what: str, number: int = 1) -> None:
        """Count."""
        with self.lock:
            setattr(self, what, getattr(self, what) + number)


class Attack:
    """Runs inside `with`. `cease` ends all activity, but connections stay open and silent but for the one that sent
    ahead, which has an association in order and may keep it.
    """

    def __init__(self, port: int, tls_port: int) -> None:
        self.tally = Tally()
        self._tls_port = tls_port
        self._port = port
        self._over = threading.Event()
        self._open: list[Peer] = []
        self._threads = [
            *(threading.Thread(target=self._again, args=(self._trickle, number)) for number in range(TRICKLING)),
            *(threading.Thread(target=self._again, args=(self._boast, number)) for number in range(BOASTING)),
            threading.Thread(target=self._again, args=(self._send_ahead, 0)),
        ]

    def __enter__(self) -> Self:
        ports = [self._port] * SILENT + [self._tls_port] * SILENT_IN_TLS
        self._open = [Peer(port, source=_HOSTS[number % len(_HOSTS)]) for number, port in enumerate(ports)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cease()
        for peer in self._open:
            peer.socket.close()

    def cease(self) -> None:
        """No byte more."""
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    def _again(self, act: Callable[[Peer], None], number: int) -> None:
        """One connection after the other, as long as the attack lasts."""
        while not self._over.is_set():
            try:
                peer = Peer(self._port, source=_HOSTS[number % len(_HOSTS)])
            except OSError:
                self._over.wait(0.1)
                continue
            try:
                act(peer)
            except OSError:
                self.tally.add("cut")
            if act == self._send_ahead:
                peer.socket.close()
            else:
                self._open.append(peer)
            self._over.wait(0.1)

    def _trickle(self, peer: Peer) -> None:
        """A byte every now and then within one PDU."""
        peer.associate()
        peer.send(struct.pack(">BxL", 4, 100_000))
        while not self._over.is_set():
            peer.send(b"\0")
            self.tally.add("trickled")
            time.sleep(0.05)

    def _boast(self, peer: Peer) -> None:
        """A PDU of 4 GiB, and a first part of it."""
        peer.associate()
        peer.send(_LONGEST_PDU)
        self.tally.add("boasted")
        for _ in range(64):
            peer.send(bytes(1 << 20))

    def _send_ahead(self, peer: Peer) -> None:
        """Requests without end, no answer read."""
        request = store_request(data_set(pixels=500_000))
        peer.associate()
        peer.socket.settimeout(0.5)
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                peer.send(request)
                self.tally.add("sent_ahead")
