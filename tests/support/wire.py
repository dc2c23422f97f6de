"""A network between two peers that breaks by plan: TCP forwarded byte for byte until it is cut or falls silent."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

PIECE = 65536


@dataclass(frozen=True, slots=True)
class CutAt:
    """Both ends are cut after so many bytes of what one side said."""

    side: Literal["request", "answer"]
    byte: int


@dataclass(frozen=True, slots=True)
class SilentFrom:
    """After so many bytes of the request nothing passes any more, and nobody is told."""

    byte: int


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """The connection is closed as soon as it is there."""


Break = CutAt | SilentFrom | TurnedAway


class Wire:
    """Listens on `port` and forwards to another; `plan` says how each connection breaks, None: it holds.

    struck: the breaks that were reached; a connection may end before. Each is told to `on_break`, too.
    """

    def __init__(self, to_port: int) -> None:
        self.plan: Callable[[], Break | None] = lambda: None
        self.on_break: Callable[[Break], None] = lambda _broken: None
        self.connections = 0
        self.struck: list[Break] = []
        self._to_port = to_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._accept, name="wire")]

    def __enter__(self) -> Wire:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while not self._ending.is_set():
            if select.select([self._listener], [], [], 0.05)[0]:
                near, _ = self._listener.accept()
                self.connections += 1
                thread = threading.Thread(target=self._carry, args=(near, self.plan()), name="wire")
                self._threads.append(thread)
                thread.start()

    def _carry(self, near: socket.socket, planned: Break | None) -> None:
        with near:
            if isinstance(planned, TurnedAway):
                self._strike(planned)
                return
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._to_port)) as far:
                for each in (near, far):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._forward(near, far, planned)

    def _strike(self, broken: Break) -> None:
        self.struck.append(broken)
        self.on_break(broken)

    def _forward(self, near: socket.socket, far: socket.socket, planned: Break | None) -> None:
        passed = {near: 0, far: 0}
        silent = False
        while not self._ending.is_set():
            for source in select.select([near, far], [], [], 0.05)[0]:
                data = source.recv(PIECE)
                if not data:
                    return
                before, passed[source] = passed[source], passed[source] + len(data)
                other = far if source is near else near
                left = _left(planned, source is near, before, len(data))
                if silent:
                    continue
                other.sendall(data[:left])
                if left < len(data) and planned is not None:
                    self._strike(planned)
                    if isinstance(planned, CutAt):
                        return
                    silent = True


def _left(planned: Break | None, is_request: bool, before: int, size: int) -> int:
    """How many of `size` bytes still pass."""
    concerned = isinstance(planned, SilentFrom) and is_request
    if isinstance(planned, CutAt):
        concerned = is_request == (planned.side == "request")
    if not concerned or planned is None or isinstance(planned, TurnedAway):
        return size
    return min(max(planned.byte - before, 0), size)
