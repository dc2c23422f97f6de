"""Has worklist managers tell this node of what changes (the "triggered pull" of IHE AIW-I).

An event only says when to ask; what is done is always asked from the manager. So a subscription that is refused, lost
or silent costs ten seconds and nothing else.
"""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from radnode.node.association import PeerUnreachable
from radnode.node.dicomweb.client import open_service
from radnode.node.security.tls import TlsUnusable, client_context, public_context
from radnode.node.workitems import notices
from radnode.node.workitems.managers import reached, subscribed_by_web
from radnode.node.workitems.notices import NoEvent

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from radnode.config.loading import Configuration
    from radnode.config.peers import Peer
    from radnode.node.workitems.notices import Report

log = structlog.get_logger(__name__)

AGAIN = timedelta(hours=1)
"""A manager may forget whom it tells; whoever is told already is told on."""
AFTER_FAILURE = timedelta(minutes=1)
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
OPENED_WITHIN_S = 10.0
LONGEST_ADDRESS = 2048


class Listening:
    """`step` is that of an activity. heard: called with the name of a manager and what it tells; on any thread.

    pulse: called with the name of a manager that may have told something while nobody listened.
    """

    def __init__(
        self, *, configuration: Callable[[], Configuration], now: Callable[[], datetime],
        heard: Callable[[str, Report], None], pulse: Callable[[str], None],
    ) -> None:
        self._configuration = configuration
        self._now = now
        self._heard = heard
        self._pulse = pulse
        self._next: dict[str, datetime] = {}
        self._ears: dict[str, Ear] = {}

    def step(self) -> bool:
        """Subscribe where that is due, and keep a WebSocket open to each manager that has one. Always False."""
        configuration = self._configuration()
        wanted = {name: configuration.peers[name] for name in configuration.workitems.managers}
        for name, peer in wanted.items():
            if peer.dicomweb is None:
                self._subscribe(name, peer, sorted(configuration.workitems.codes))
        self._listen({name: peer for name, peer in wanted.items() if peer.dicomweb is not None})
        return False

    def again(self, name: str) -> None:
        """A manager is there again, or has restarted: it may have forgotten."""
        self._next.pop(name, None)

    def stop(self) -> None:
        """Listen to nobody any more."""
        for ear in self._ears.values():
            ear.end()
        for ear in self._ears.values():
            ear.join()

    def _subscribe(self, name: str, peer: Peer, codes: Sequence[str]) -> None:
        now = self._now()
        due = self._next.get(name, now)
        if now < due <= now + AGAIN:
            return
        own = self._configuration().settings.ae_title
        try:
            with reached(peer, own) as manager:
                why_not = manager.subscribe(own, codes)
        except PeerUnreachable:  # the pull says so, with an alarm
            self._next[name] = now + AFTER_FAILURE
            return
        self._next[name] = now + AGAIN
        log.info("worklist.not_told" if why_not else "worklist.subscribed", manager=name, reason=why_not)

    def _listen(self, wanted: Mapping[str, Peer]) -> None:
        own = self._configuration().settings.ae_title
        for name, ear in list(self._ears.items()):
            if wanted.get(name) != ear.peer:
                ear.end()
                del self._ears[name]
        for name, peer in wanted.items():
            if name not in self._ears:
                self._ears[name] = Ear(peer, own, self._heard, self._pulse)


class Ear:
    """A thread that subscribes by UPS-RS and listens to one manager, again and again, until it is ended."""

    def __init__(
        self, peer: Peer, own_ae_title: str, heard: Callable[[str, Report], None], pulse: Callable[[str], None]
    ) -> None:
        self.peer = peer
        self._own = own_ae_title
        self._heard = heard
        self._pulse = pulse
        self._ended = threading.Event()
        self._channel: ClientConnection | None = None
        self._why_not = ""
        self._thread = threading.Thread(target=self._run, name=f"listening to {peer.name}", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Does not wait."""
        self._ended.set()
        if (channel := self._channel) is not None:
            channel.close_socket()

    def join(self) -> None:
        """Waits, though not for a manager that does not answer."""
        self._thread.join(1.0)

    def _run(self) -> None:
        wait_s = FIRST_WAIT_S
        while not self._ended.is_set():
            try:
                self._listen()
                wait_s = FIRST_WAIT_S
            except (PeerUnreachable, TlsUnusable, OSError, WebSocketException) as error:
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
                self._say(str(error) if isinstance(error, PeerUnreachable) else type(error).__name__)
            self._ended.wait(wait_s)

    def _listen(self) -> None:
        """Until the manager ends it. What was missed before is asked for once it listens."""
        web = self.peer.dicomweb
        if web is None:
            return
        with open_service(self.peer.name, self.peer.tls, web) as client:
            said = subscribed_by_web(client, self.peer.name, self._own)
            address, shown = channel_of(web.url, said, self._own), client.shown()
        with connect(
            address, ssl=self._tls() if address.startswith("wss:") else None, proxy=None, max_size=notices.LONGEST,
            server_hostname=self.peer.tls.name if self.peer.tls and address.startswith("wss:") else None,
            additional_headers=shown, open_timeout=OPENED_WITHIN_S, close_timeout=1,
        ) as channel:
            self._channel = channel
            self._say("")
            self._pulse(self.peer.name)
            for text in channel:
                self._hear(text)

    def _hear(self, text: str | bytes) -> None:
        try:
            report = notices.read(text)
        except NoEvent as error:
            log.info("worklist.no_event", manager=self.peer.name, reason=str(error))
            self._pulse(self.peer.name)
        else:
            self._heard(self.peer.name, report)

    def _tls(self) -> ssl.SSLContext:
        return client_context(self.peer.tls) if self.peer.tls else public_context()

    def _say(self, why_not: str) -> None:
        """Once for as long as it stays so."""
        if not why_not:
            log.info("worklist.listening", manager=self.peer.name)
        elif why_not != self._why_not:
            log.info("worklist.not_told", manager=self.peer.name, reason=why_not)
        self._why_not = why_not


def channel_of(service: str, said: str, own_ae_title: str) -> str:
    """The WebSocket of a manager's service: where it says, if that is at the same host and port, else where the
    standard has it (PS3.18 8.10.4). Pure.
    """
    base = urlsplit(service)
    scheme = "wss" if base.scheme == "https" else "ws"
    there = urlsplit(said if said.isascii() and said.isprintable() and len(said) <= LONGEST_ADDRESS else "")
    path = f"{base.path.rstrip('/')}/subscribers/{own_ae_title.replace(' ', '%20')}"
    if there.path.startswith("/") and there.netloc in ("", base.netloc) and not there.fragment:
        path = there.path + (f"?{there.query}" if there.query else "")
    return f"{scheme}://{base.netloc}{path}"
