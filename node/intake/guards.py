"""The door: accepts connections, serves each in its own thread, and lets nobody fill the house by waiting.

A thread is cheap only while there are few, so two things are limited before one is made. Connections that
have not asked for an association wait in a small room; when it is full, the one that has waited longest
leaves, first one of the same host. So a flood of silent connections costs a peer that speaks nothing.
Associations have seats, in all and for each host; who finds none is rejected as transient and comes again.
Nothing but `accept` happens in the accepting thread: a handshake of TLS belongs to the connection's thread and its
deadline.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import structlog

from radnode.node.intake.connection import Connection, ConnectionLost, Deadlines, HandshakeFailed, Silent

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from radnode.node.intake.tally import RefusalTally

log = structlog.get_logger(__name__)

BACKLOG = 128
ROOM = 64
ROOM_PER_HOST = 32
_JOIN_S = 20.0
_AGAIN_AFTER_S = 0.2
_LEAVE_S = 0.5
_LOOK_EVERY_S = 0.05


class Seats:
    """Associations open at a time, in all and for each host."""

    def __init__(self, most: int, most_per_host: int) -> None:
        self._most = most
        self._most_per_host = most_per_host
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()

    def take(self, host: str) -> bool:
        """Sit down, if there is a seat."""
        with self._lock:
            if self._taken.total() >= self._most or self._taken[host] >= self._most_per_host:
                return False
            self._taken[host] += 1
        return True

    def leave(self, host: str) -> None:
        """Stand up."""
        with self._lock:
            self._taken[host] -= 1
            if not self._taken[host]:
                del self._taken[host]


class OncePerMinute:
    """Whether something about a host is worth a log line again; of many hosts, the oldest is forgotten."""

    _HOSTS = 1024

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._said_at: dict[str, float] = {}

    def worth_saying(self, host: str) -> bool:
        """True at most once a minute for a host."""
        now = time.monotonic()
        with self._lock:
            if host in self._said_at and now - self._said_at[host] < 60.0:
                return False
            self._said_at.pop(host, None)  # the youngest goes to the end
            self._said_at[host] = now
            if len(self._said_at) > self._HOSTS:
                del self._said_at[next(iter(self._said_at))]
        return True


class Listener:
    """Accepts on one address. `serve` runs in the connection's thread, after the handshake where there is TLS.

    tls: what a connection that begins now is secured with. strangers: counts addresses whose handshake failed.
    port: once it has started, the one that was taken.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        serve: Callable[[Connection], None],
        deadlines: Deadlines,
        strangers: RefusalTally,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self.port = port
        self._host = host
        self._serve = serve
        self._deadlines = deadlines
        self._strangers = strangers
        self._tls = tls
        self._lock = threading.Lock()
        self._connections: dict[Connection, threading.Thread] = {}  # in the order of their arrival
        self._stopping = threading.Event()
        self._quiet = OncePerMinute()
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._accept_all, name="dicom-accept", daemon=True)

    def start(self) -> None:
        """Listen. Raises OSError when the address is taken."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        self._socket = socket.create_server((self._host, self.port), family=family, backlog=BACKLOG)
        self.port = self._socket.getsockname()[1]
        self._thread.start()

    def shut(self) -> None:
        """Accept no more; harmless when repeated."""
        if self._socket is None or self._stopping.is_set():
            return
        self._stopping.set()
        self._socket.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._thread.join(_JOIN_S)
        self._socket.close()

    def stop(self) -> None:
        """Accept no more, let peers end what they do in the time that they have, and every other connection finish its
        answer; close all.
        """
        self.shut()
        with self._lock:
            left = dict(self._connections)
        self._drain(left)
        deadline = time.monotonic() + _JOIN_S
        for connection, thread in left.items():
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                connection.cut()

    def _drain(self, left: Mapping[Connection, threading.Thread]) -> None:
        """Stop each as soon as it has nothing to say."""
        deadline = time.monotonic() + self._deadlines.drain
        busy = list(left)
        while busy:
            now = time.monotonic()
            silent = [each for each in busy if now >= each.heard_at + self._deadlines.linger]
            for each in busy if now >= deadline else silent:
                each.stop()
            busy = [each for each in busy if not each.stopping and left[each].is_alive()]
            time.sleep(_LOOK_EVERY_S if busy else 0)

    def _accept_all(self) -> None:
        while not self._stopping.is_set():
            try:
                accepted, address = self._socket.accept()  # type: ignore[union-attr]
                self._welcome(accepted, _plain(address[0]))
            except (OSError, RuntimeError) as error:  # no descriptor or thread is left: this, too, passes
                if not self._stopping.wait(_AGAIN_AFTER_S) and self._quiet.worth_saying(""):
                    log.error("connection.failed", reason=str(error))

    def _welcome(self, accepted: socket.socket, host: str) -> None:
        try:
            if self._tls is not None:
                accepted = self._tls().wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
            connection = Connection(accepted, host, self._deadlines)
            self._make_room(host)
            self._begin(connection)
        except (OSError, RuntimeError):
            accepted.close()
            raise

    def _begin(self, connection: Connection) -> None:
        thread = threading.Thread(
            target=self._run, args=(connection,), name=f"dicom-{connection.host}", daemon=True
        )
        with self._lock:
            self._connections[connection] = thread
        try:
            thread.start()
        except RuntimeError:
            with self._lock:
                del self._connections[connection]
            raise

    def _make_room(self, host: str) -> None:
        with self._lock:
            waiting = [each for each in self._connections if not each.established]
            of_host = [each for each in waiting if each.host == host]
            crowd = of_host if len(of_host) >= ROOM_PER_HOST else waiting if len(waiting) >= ROOM else []
            leaving = self._connections[crowd[0]] if crowd else None
        if leaving is not None:
            crowd[0].cut()
            leaving.join(_LEAVE_S)  # there is never a thread more than there is room
            if self._quiet.worth_saying(crowd[0].host):
                log.warning("connection.crowded_out", host=crowd[0].host, waiting=len(waiting))

    def _run(self, connection: Connection) -> None:
        try:
            connection.shake_hands()
            self._serve(connection)
        except HandshakeFailed as failed:
            self._turn_away(connection, failed)
        except (Silent, ConnectionLost):
            pass  # before it said who it is
        except Exception:
            log.exception("connection.failed", host=connection.host)
        finally:
            connection.close()
            with self._lock:
                self._connections.pop(connection, None)

    def _turn_away(self, connection: Connection, failed: HandshakeFailed) -> None:
        self._strangers.refused(connection.host)
        connection.linger(time.monotonic() + self._deadlines.linger)
        if self._quiet.worth_saying(connection.host):
            log.warning("tls.refused", host=connection.host, reason=str(failed))


def _plain(host: str) -> str:
    """An IPv4 address that came through an IPv6 socket, as IPv4: allowed networks are written that way."""
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
