"""Tries the other side of a connection in a thread of its own, so that nobody waits for it. Nothing is stored there."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Protocol

import structlog
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

from radnode.node.association import CONNECT_TIMEOUT_S, PeerUnreachable, associate
from radnode.node.doctor import checks_messages, checks_peers, facts_peers
from radnode.node.doctor.facts_services import look_at
from radnode.node.doctor.finding import Finding, good, unchecked, wrong
from radnode.node.doctor.proposal import Proposal, findings, of_web, propose
from radnode.node.retrieving.archive import Question
from radnode.node.retrieving.dimse import GET, MOVE
from radnode.node.retrieving.opening import open_archive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from radnode.config.loading import Configuration
    from radnode.config.messaging import Hl7Destination, Listen
    from radnode.config.peers import Peer

log = structlog.get_logger(__name__)

AT_ONCE = 4
MOST_REMEMBERED = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a probe found out. proposal: what to write at a peer, None where nothing can be proposed."""

    findings: tuple[Finding, ...] = ()
    proposal: Proposal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One try. stage: what it is at. found: None while it runs, and with a `failure`, which is a fault of the node."""

    began_at: datetime
    ended_at: datetime | None = None
    stage: str = ""
    found: Found | None = None
    failure: str = ""

    @property
    def runs(self) -> bool:
        """Whether there is more to come."""
        return self.ended_at is None


class Look(Protocol):
    """Finds out. told: to be given the name of each part that begins."""

    def __call__(self, told: Callable[[str], None], /) -> Found:
        """Takes as long as the other side lets it wait; every wait has an end."""
        ...


class ProbeRefused(Exception):
    """Nothing was begun; the sentence says why."""


class Probes:
    """The last probe of each connection; at most one of it runs, and at most AT_ONCE of all."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Probe] = OrderedDict()

    def of(self, key: str) -> Probe | None:
        """The last one of this connection since the node started."""
        with self._lock:
            return self._known.get(key)

    def begin(self, key: str, look: Look) -> Probe:
        """Try it now. Raises :class:`ProbeRefused` while it is being tried, or too many others are."""
        with self._lock:
            running = [name for name, probe in self._known.items() if probe.runs]
            if key in running:
                raise ProbeRefused("it is being tried already; its result comes")
            if len(running) >= AT_ONCE:
                raise ProbeRefused(f"{AT_ONCE} others are being tried; try again when they have ended")
            self._known.pop(key, None)
            probe = self._known[key] = Probe(began_at=self._now())
            for name in [each for each, known in self._known.items() if not known.runs][:-MOST_REMEMBERED]:
                del self._known[name]
        threading.Thread(target=self._run, args=(key, look), name="probe", daemon=True).start()
        return probe

    def _run(self, key: str, look: Look) -> None:
        try:
            found = look(lambda stage: self._put(key, stage=stage))
        except Exception as error:
            log.exception("probe.failed")
            self._put(key, ended_at=self._now(), failure=f"{type(error).__name__}; the log says more")
        else:
            self._put(key, ended_at=self._now(), found=found)

    def _put(self, key: str, **changed: object) -> None:
        with self._lock:
            self._known[key] = replace(self._known[key], **changed)  # type: ignore[arg-type]


def look_for(configuration: Configuration, kind: str, name: str) -> Look:
    """How a connection of a configuration is tried, by its kind."""
    if kind == "peer":
        return partial(try_peer, configuration.peers[name], configuration.settings.ae_title)
    return partial(_try_other, configuration, kind, name)


def try_peer(peer: Peer, own_ae_title: str, told: Callable[[str], None] = lambda _: None) -> Found:
    """What a peer answers, judged, and how to configure it.

    Of one that only sends nothing is needed: nobody calls it, unless it is asked for counts.
    """
    if peer.dicomweb:
        told("QIDO-RS")
        failure = facts_peers.ask(peer, own_ae_title)
        return Found(findings=(checks_peers.web(peer.name, failure),), proposal=of_web(peer, failure))
    if peer.sends and not peer.receives:
        return _try_source(peer, own_ae_title, told)
    seen = look_at(peer, own_ae_title, told)
    return Found(findings=tuple(findings(peer, own_ae_title, seen)), proposal=propose(peer, seen))


def _try_source(peer: Peer, own_ae_title: str, told: Callable[[str], None]) -> Found:
    told("C-ECHO")
    greeting = facts_peers.greet(peer, own_ae_title, [])
    if greeting.failure:
        silent = f"nothing is sent there, so it need not answer, and it does not: {greeting.failure}"
        asked = [checks_peers.source(peer.name, greeting.failure)] if peer.answers_find else []
        return Found(findings=(unchecked(f"source {peer.name}", silent), *asked))
    told("C-FIND")
    failure = facts_peers.ask(peer, own_ae_title)
    said = f"answers C-ECHO and knows {own_ae_title}" if greeting.echoed else f"knows {own_ae_title}"
    echo = good(f"source {peer.name}", said)
    if failure and not peer.answers_find:
        return Found(findings=(echo, unchecked(f"C-FIND at {peer.name}", f"it does not offer it: {failure}")))
    because = "it answers C-FIND: the node can ask it how many images a series has"
    return Found(findings=(echo, checks_peers.source(peer.name, failure)),
                 proposal=None if failure else Proposal(entry={"answers_find": True}, because=because))


def _try_other(configuration: Configuration, kind: str, name: str, told: Callable[[str], None]) -> Found:
    told(kind)
    messaging, retrieving = configuration.messaging, configuration.retrieving
    if kind == "hl7":
        found = list(_ris(messaging.hl7[name]))
    elif kind == "fhir":
        found = [checks_messages.of_server(f"destination {name}", messaging.fhir[name], stores=True)]
    elif kind == "orders" and messaging.orders_from is not None:
        found = [checks_messages.of_server("orders from FHIR", messaging.orders_from, stores=False)]
    elif kind == "listener" and messaging.listen is not None:
        found = [_listener(messaging.listen)]
    elif kind == "archive":
        found = _archive(configuration, name)
    elif kind == "pull":
        found = _archive(configuration, next(each.source for each in retrieving.pulls if each.name == name))
    elif kind == "folder":
        found = [_folder(name, str(next(each.path for each in retrieving.folders if each.name == name)))]
    else:
        found = [unchecked(name, "it calls the node, and is never called")]
    return Found(findings=tuple(found))


def _ris(ris: Hl7Destination) -> Iterator[Finding]:
    connected = checks_messages.of_ris(ris)
    yield connected
    if connected.state == "ok":
        yield checks_messages.acknowledges(ris, secrets.token_hex(8), datetime.now(UTC))


def _archive(configuration: Configuration, name: str) -> list[Finding]:
    question = f"archive {name}"
    try:
        open_archive(configuration, name).studies(Question(study_instance_uid=str(generate_uid(prefix=None))))
    except PeerUnreachable as error:
        return [wrong(question, str(error), "look at its address and at what it lets this node ask")]
    answers = good(question, "answers a search")
    archive = configuration.retrieving.archives[name]
    if archive.dicomweb is not None:
        return [answers]
    return [answers, _retrieval(configuration, name, MOVE if archive.retrieve == "c-move" else GET)]


def _retrieval(configuration: Configuration, name: str, service: str) -> Finding:
    """Whether it accepts a presentation context of the service; nothing is asked to come."""
    question, own = f"images of {name}", configuration.settings.ae_title
    called, other = ("C-MOVE", "c-get") if service == MOVE else ("C-GET", "c-move")
    try:
        with associate(configuration.peers[name], own, [(service, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])]) \
                as association:
            offers = any(each.abstract_syntax == service for each in association.accepted_contexts)
    except PeerUnreachable:
        offers = False  # an association with no accepted context is none
    if not offers:
        return wrong(question, f"it does not offer {called} to {own}", f"allow it there, or write `retrieve: {other}`")
    if service == GET:
        return good(question, "offers C-GET; nothing was fetched")
    return good(question, f"offers C-MOVE; nothing was fetched: whether it knows where {own} is, the first study shows")


def _listener(listen: Listen) -> Finding:
    question = "port for HL7 messages"
    host = "127.0.0.1" if listen.host in ("0.0.0.0", "::") else listen.host  # noqa: S104 - it listens on all
    try:
        socket.create_connection((host, listen.port), CONNECT_TIMEOUT_S).close()
    except OSError:
        return wrong(question, f"nobody listens at {listen.host}:{listen.port}",
                     "restart the node if this was added since it started, else look at its log")
    return good(question, f"{listen.host}:{listen.port} accepts connections")


def _folder(name: str, path: str) -> Finding:
    question = f"folder {name}"
    if not os.path.isdir(path):  # noqa: PTH112 - never raises
        return wrong(question, f"{path} is no folder that this account sees", "make it, or mount its volume")
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return wrong(question, f"this account may not read and write {path}", "let the account of the node do both")
    return good(question, "can be read, and what was taken can be moved")
