"""ORU^R01 to a destination by MLLP, and what its acknowledgement means (HL7 v2.5.1, 2.9.2 and table 0357)."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

from radnode.node.association import CONNECT_TIMEOUT_S, PeerUnreachable
from radnode.node.delivery.answer import Answer, intact, none, taken
from radnode.node.intake.connection import Connection, ConnectionLost, Deadlines, HandshakeFailed, Silent
from radnode.node.messaging.mllp import FrameBroken, Frames, framed
from radnode.node.security.tls import TlsUnusable, client_context
from radnode.node.statuses import Outcome
from radnode.pipelines.messages import hl7

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from radnode.config.messaging import Hl7Destination

ANSWER_S = 30.0
LARGEST_ANSWER = 65_536
_NONE = none("no acknowledgement of it")
_PASSES = frozenset({"206", "207"})
"""Of table 0357: record locked, internal error. With them the same message may be taken later."""
_LASTS = frozenset({"200", "201", "202", "203"})
"""Unsupported message type, event, processing id, version: these are for ever, also where they come with AR."""


class MllpCarrier:
    """An open connection; one message at a time."""

    def __init__(self, connection: Connection, destination: Hl7Destination) -> None:
        self._connection = connection
        self._destination = destination
        self._frames = Frames(connection, LARGEST_ANSWER)
        self.is_established = True

    def store(self, path: Path, digest: str, *_uids: str) -> Answer:
        """Send one message. Raises :class:`~radnode.node.delivery.answer.Damaged`, OSError for the file."""
        destination = self._destination
        message = hl7.addressed(intact(path, digest), destination.application or "", destination.facility or "")
        return self._exchanged(message, hl7.read(message).header.get(10))

    def greet(self, control_id: str, now: datetime) -> Answer | None:
        """Ask about the other side's own statistics (NMQ^N01 with NST, HL7 v2.5.1, 14.3.1): no patient is in it, and
        nothing of it is to be kept. None where it was not acknowledged.
        """
        destination = self._destination
        header = hl7.segment("MSH", {
            2: hl7.SEPARATORS[1:], 3: "RADNODE", 7: now.strftime("%Y%m%d%H%M%S+0000"),
            9: hl7.composed("NMQ", "N01", "NMQ_N01"), 10: control_id, 11: "P", 12: "2.5.1", 18: "UNICODE UTF-8",
        })
        query = hl7.written([header, hl7.segment("NST", {1: "N"})])
        query = hl7.addressed(query, destination.application or "", destination.facility or "")
        judged = self._exchanged(query, control_id)
        return None if judged is _NONE else judged

    def _exchanged(self, message: bytes, control_id: str) -> Answer:
        try:
            self._connection.send(framed(message))
            answer = self._frames.read(ANSWER_S, ANSWER_S)
        except (ConnectionLost, Silent, FrameBroken):
            self.is_established = False
            return _NONE
        judged = judge(answer, control_id)
        self.is_established = judged is not _NONE
        return judged


def judge(acknowledgement: bytes, control_id: str) -> Answer:
    """What an acknowledgement says of the message with that MSH-10; no answer if it is about another.

    AR is about the receiver (it is down, it does not take such messages), AE about what is in the message. Nothing of
    the text is repeated, which may quote the patient: codes alone.
    """
    try:
        message = hl7.read(acknowledgement, undeclared="UNICODE UTF-8")
    except hl7.NotReadable:
        return _NONE
    msa, err = message.first("MSA"), message.first("ERR")
    if msa is None or msa.get(2) != control_id:
        return _NONE
    code = msa.get(1)
    error = _code(err.get(3) or err.get(1, 4)) if err else _code(msa.get(6))
    said = f"{code} {error}".strip() if code in _CODES else "an acknowledgement without a known code"
    if code in ("AA", "CA"):
        return taken()
    passing = error in _PASSES or (code in ("AR", "CR") and error not in _LASTS)
    return Answer(outcome=Outcome.TRANSIENT if passing else Outcome.PERMANENT, reason=f"it answered {said}")


_CODES = frozenset({"AA", "AE", "AR", "CA", "CE", "CR"})


def _code(text: str) -> str:
    return text if len(text) == 3 and text.isdecimal() else ""


@contextlib.contextmanager
def connect(destination: Hl7Destination) -> Iterator[MllpCarrier]:
    """Raises :class:`~radnode.node.association.PeerUnreachable`."""
    where = f"{destination.name} ({destination.host}:{destination.port})"
    try:
        plain = socket.create_connection((destination.host, destination.port), CONNECT_TIMEOUT_S)
    except OSError as error:
        raise PeerUnreachable(f"{where} does not accept a connection") from error
    with contextlib.ExitStack() as closing:
        closing.callback(plain.close)
        try:
            opened = plain
            if tls := destination.tls:
                opened = client_context(tls).wrap_socket(
                    plain, server_hostname=tls.name or destination.host, do_handshake_on_connect=False
                )
                closing.callback(opened.close)
            connection = Connection(opened, destination.host, Deadlines())
            connection.shake_hands()
        except (TlsUnusable, HandshakeFailed) as error:
            raise PeerUnreachable(f"{where}: no TLS with it: {error}") from error
        except (Silent, ConnectionLost, OSError) as error:
            raise PeerUnreachable(f"{where} went away") from error
        yield MllpCarrier(connection, destination)
