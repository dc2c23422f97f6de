"""The door for HL7 v2: MLLP with the door-keeper of the DICOM doors. One thread a connection reads, keeps, answers."""

from __future__ import annotations

import secrets
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from radnode.node.intake.admission import within
from radnode.node.intake.connection import ConnectionLost, Deadlines, Silent
from radnode.node.intake.guards import Listener, OncePerMinute, Seats
from radnode.node.messaging.acknowledging import acknowledgements
from radnode.node.messaging.mllp import FrameBroken, Frames, framed
from radnode.node.messaging.taking import AGAIN_LATER, Outcome
from radnode.pipelines.messages import hl7

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from radnode.config.messaging import Listen, Sender
    from radnode.node.intake.connection import Connection
    from radnode.node.intake.tally import RefusalTally
    from radnode.node.messaging.taking import Desk
    from radnode.pipelines.messages.hl7 import Segment

log = structlog.get_logger(__name__)

MESSAGE_S = 30.0
"""From its first to its last byte."""


class MessageReceiver:
    """Listens for messages of configured senders. Nobody else is answered."""

    def __init__(
        self, listen: Listen, *, senders: Callable[[], Mapping[str, Sender]], desk: Desk, now: Callable[[], datetime],
        strangers: RefusalTally, tls: Callable[[], ssl.SSLContext] | None,
    ) -> None:
        self._listen = listen
        self._senders = senders
        self._desk = desk
        self._now = now
        self._strangers = strangers
        self._seats = Seats(listen.max_connections, listen.max_connections)
        self._quiet = OncePerMinute()
        self.listener = Listener(
            host=listen.host, port=listen.port, serve=self._serve, deadlines=Deadlines(), strangers=strangers, tls=tls,
        )

    def _serve(self, connection: Connection) -> None:
        name = self._recognise(connection)
        if name is None:
            self._strangers.refused(connection.host)
            self._say("message.stranger", connection.host, "no sender of this address and certificate is configured")
            return
        if not self._seats.take(connection.host):
            self._say("message.no_seat", connection.host, "max_connections are open")
            return
        try:
            self._messages(connection, name)
        finally:
            self._seats.leave(connection.host)

    def _messages(self, connection: Connection, name: str) -> None:
        frames = Frames(connection, self._listen.max_message)
        connection.established = True
        try:
            while not connection.stopping:
                content = frames.read(self._listen.idle_s, MESSAGE_S)
                sender = self._senders().get(name)
                if sender is None:
                    return
                for answer in self._answers(name, sender, content):
                    connection.send(framed(answer))
        except FrameBroken as broken:
            self._say("message.broken", connection.host, str(broken))
        except (Silent, ConnectionLost):
            pass

    def _answers(self, name: str, sender: Sender, content: bytes) -> list[bytes]:
        header: Segment | None = None
        try:
            message = hl7.read(content, undeclared=sender.character_set)
            header = message.header
            outcome = self._desk.take(name, sender, message, content)
        except hl7.NotReadable as error:
            outcome = Outcome(how="E", code=error.code, where=error.where, says=str(error))
            log.warning("message.refused", sender=name, kind="unreadable", code=error.code, reason=str(error))
            header = _header(content)
        except Exception as error:  # noqa: BLE001 - nothing was kept, and the sender must know that
            log.error("message.failed", sender=name, error=type(error).__name__, place=_place(error))
            outcome = AGAIN_LATER
        return acknowledgements(header, outcome, self._now(), secrets.token_hex(8).upper())

    def _recognise(self, connection: Connection) -> str | None:
        """By address and, where one is configured, by certificate: both have to be right."""
        for name, sender in self._senders().items():
            if not within(connection.host, sender.hosts):
                continue
            if sender.client_certificate is None:
                if sender.hosts:
                    return name
            elif connection.certificate is not None and connection.certificate.is_of(sender.client_certificate):
                return name
        return None

    def _say(self, event: str, host: str, reason: str) -> None:
        if self._quiet.worth_saying(host):
            log.warning(event, host=host, reason=reason)


def _place(error: Exception) -> str:
    """Where it happened, without what is quoted in an error."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"


def _header(content: bytes) -> Segment | None:
    """MSH of a message that cannot be read as a whole, as far as it is ASCII: the sender learns which it was."""
    try:
        return hl7.read(content.partition(b"\r")[0].decode("ascii", "ignore").encode(), undeclared="ASCII").header
    except hl7.NotReadable:
        return None
