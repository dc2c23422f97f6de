"""One association from the acceptor's side: the state machine of PS3.8 9.2 as one thread's straight line.

Sta2 (await A-ASSOCIATE-RQ), Sta6 (data transfer) and Sta13 (await the close) are the three methods
`_negotiate`, `_serve` and `Connection.close`. One thread reads, stores and answers, so no message waits in a
queue: while an object is being made durable the socket is not read, and TCP holds a peer back that sends
ahead. Nor is there anything to poll.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from radnode.node.intake import commands, negotiation, normalized, orders, pdus
from radnode.node.intake.admission import Rejected
from radnode.node.intake.connection import ConnectionLost, Silent
from radnode.node.intake.negotiation import NotNegotiable
from radnode.node.intake.orders import OrderGathering
from radnode.node.intake.pdu_stream import PduStream
from radnode.node.intake.pdus import PduType, Violation
from radnode.node.intake.storing import Origin
from radnode.node.statuses import PENDING, SUCCESS, UNRECOGNIZED_OPERATION, Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from radnode.node.intake.admission import Admission
    from radnode.node.intake.associations import Associations
    from radnode.node.intake.commands import Command
    from radnode.node.intake.connection import Connection
    from radnode.node.intake.guards import OncePerMinute, Seats
    from radnode.node.intake.negotiation import Agreement, Context
    from radnode.node.intake.normalized import CommitmentDesk, Gathering, PerformedGathering
    from radnode.node.intake.orders import OrderAnswer
    from radnode.node.intake.storing import Incoming, Storage
    from radnode.node.intake.tally import RefusalTally
    from radnode.node.observability import Metrics
    from radnode.node.security.certificates import Certificate

log = structlog.get_logger(__name__)

NO_SEAT = (2, 3, 2)
"""Rejected transient, local limit exceeded (PS3.8 Table 9-21)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What every association needs of the receiver.

    admit: decides on calling and called AE title, address and certificate. strangers: addresses that could not say who
    they are. desk: of storage commitment.
    """

    admit: Callable[[str, str, str, Certificate | None], Admission]
    seats: Seats
    storage: Storage
    associations: Associations
    idle_s: float
    metrics: Metrics
    quiet: OncePerMinute
    strangers: RefusalTally
    desk: CommitmentDesk | None = None


@dataclass(slots=True, kw_only=True)
class _Count:
    instances: int = 0
    refused: int = 0
    octets: int = 0
    began: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class _End:
    """How an association ended: the word for log and metrics, the PDU that ends it, and why."""

    how: str
    last_word: bytes
    reason: str = ""


class _Aborted(Exception):
    """The peer sent A-ABORT."""


class _Unfinished:
    """The message that is being received: fragments of its command set, then the object it announces."""

    def __init__(self) -> None:
        self.context_id = 0
        self.command_set = bytearray()
        self.command: Command | None = None
        self.incoming: Incoming | Gathering | PerformedGathering | OrderGathering | None = None


class Acceptor:
    """Serves one connection to its end. `run` returns when nothing is left to do but close it."""

    def __init__(self, connection: Connection, house: House) -> None:
        self._connection = connection
        self._pdus = PduStream(connection)
        self._house = house
        self._identifier = secrets.token_hex(8)
        self._log = log.bind(association=self._identifier, host=connection.host)
        self._message = _Unfinished()
        self._count = _Count()

    def run(self) -> None:
        """Negotiate, serve, and say how it ended."""
        try:
            self._negotiate()
        except _Aborted:
            self._ended("aborted")
        except Silent:
            self._ended("silent")
        except ConnectionLost:
            self._ended("lost")
        except (Violation, NotNegotiable) as refused:
            self._ended("refused")
            self._turn_away(refused)

    def _ended(self, how: str) -> None:
        self._house.metrics.associations.labels(how).inc()

    def _negotiate(self) -> None:
        kind, request = self._pdus.read(self._connection.deadlines.request)
        if kind is PduType.ABORT:
            raise _Aborted
        if kind is not PduType.ASSOCIATE_RQ:
            raise Violation(Violation.UNEXPECTED_PDU, f"{kind.name} before A-ASSOCIATE-RQ")
        titles = negotiation.titles(request)
        connection = self._connection
        admission = self._house.admit(titles.calling, titles.called, connection.host, connection.certificate)
        if isinstance(admission, Rejected):
            if admission.of_certificate:
                self._house.strangers.refused(connection.host)
            raise NotNegotiable(
                *admission.codes,
                f"{admission.why}: {titles.calling!a} calls {titles.called!a}",
            )
        agreement = negotiation.negotiate(request, stores=admission.stores)
        if not self._house.seats.take(self._connection.host):
            raise NotNegotiable(*NO_SEAT, "as many associations are open as are allowed")
        self._associate(agreement, Origin(
            association=self._identifier, source=admission.source, is_configured=admission.is_configured
        ))

    def _associate(self, agreement: Agreement, origin: Origin) -> None:
        """From the seat taken to the last word, before which the seat is free again: the peer may come back at once."""
        self._connection.established = True
        self._house.associations.opened(self._identifier)
        self._house.metrics.associations_open.inc()
        self._log = self._log.bind(source=origin.source)
        self._log.info("association.opened", contexts=len(agreement.contexts), refused_contexts=len(agreement.refused))
        for abstract_syntax in agreement.refused:
            self._log.debug("context.refused", abstract_syntax=ascii(abstract_syntax))
        end = _End("failed", pdus.abort(0, 0))
        try:
            end = self._until_the_end(agreement, origin)
        finally:
            if self._message.incoming is not None:
                self._message.incoming.discard()
            self._house.seats.leave(self._connection.host)
            self._house.metrics.associations_open.dec()
            self._house.associations.closed(self._identifier)
            self._say(end)
            self._ended(end.how)
            self._connection.close(end.last_word)

    def _until_the_end(self, agreement: Agreement, origin: Origin) -> _End:
        try:
            self._connection.send(agreement.answer)
            self._serve(agreement, origin)
        except _Aborted:
            return _End("aborted", b"")
        except Silent:
            return _End("idle", self._release())
        except ConnectionLost as lost:
            how = "stopped" if self._connection.stopping else "lost"
            return _End(how, pdus.abort(0, 0), str(lost))
        except Violation as violation:
            return _End("violated", pdus.abort(2, violation.reason), str(violation))
        return _End("released", pdus.RELEASE_RP)

    def _say(self, end: _End) -> None:
        (self._log.info if end.how == "released" else self._log.warning)(
            f"association.{end.how}",
            reason=end.reason,
            instances=self._count.instances,
            refused=self._count.refused,
            octets=self._count.octets,
            seconds=round(time.monotonic() - self._count.began, 3),
        )

    def _serve(self, agreement: Agreement, origin: Origin) -> None:
        """Sta6; returns at the peer's A-RELEASE-RQ."""
        while True:
            kind, body = self._pdus.read(self._house.idle_s)
            if kind is PduType.P_DATA:
                for context_id, control, fragment in pdus.fragments(body):
                    context = agreement.contexts.get(context_id)
                    if context is None:
                        raise Violation(Violation.INVALID_PARAMETER, "a PDV in no accepted context")
                    self._take(context, control, fragment, origin)
            elif kind is PduType.RELEASE_RQ:
                return
            elif kind is PduType.ABORT:
                raise _Aborted
            else:
                raise Violation(Violation.UNEXPECTED_PDU, f"{kind.name} during data transfer")

    def _take(self, context: Context, control: int, fragment: memoryview, origin: Origin) -> None:
        """One PDV (PS3.8 E.2: bit 0 of `control` is command, bit 1 is last fragment)."""
        message = self._message
        begun = message.command is not None or bool(message.command_set)
        if begun and message.context_id != context.context_id:
            raise Violation(Violation.INVALID_PARAMETER, "a message in two presentation contexts")
        if (message.command is None) != bool(control & 1):
            raise Violation(Violation.INVALID_PARAMETER, "command and data set fragments out of order")
        message.context_id = context.context_id
        if control & 1:
            message.command_set += fragment
            if len(message.command_set) > commands.LONGEST:
                raise Violation(Violation.INVALID_PARAMETER, "a command set that does not end")
            if control & 2:
                self._begin(context, origin)
            return
        if message.incoming is not None:
            message.incoming.write(fragment)
        if control & 2:
            self._answer(context)

    def _begin(self, context: Context, origin: Origin) -> None:
        message = self._message
        message.command = commands.parse(bytes(message.command_set))
        if context.abstract_syntax in orders.SERVICES:
            desk = self._house.desk
            message.incoming = OrderGathering(message.command, context, origin, desk.ordered if desk else None)
        elif context.abstract_syntax in normalized.SERVICES:
            message.incoming = normalized.gathering(message.command, context, origin, self._house.desk)
        elif message.command.field == commands.C_STORE_RQ and context.abstract_syntax != negotiation.VERIFICATION:
            message.incoming = self._house.storage.begin(message.command, context, origin)
        if not message.command.has_data_set:
            self._answer(context)

    def _answer(self, context: Context) -> None:
        """The message is whole: act, and answer what wants an answer."""
        message, self._message = self._message, _Unfinished()
        command = message.command
        if command is None or not command.is_request:
            return
        if isinstance(message.incoming, OrderGathering):
            self._answer_order(context, command, message.incoming.finish())
            return
        if message.incoming is not None:
            status = message.incoming.finish()
            if command.field == commands.C_STORE_RQ:
                self._tally(status, message.incoming.received)
        elif command.field == commands.C_ECHO_RQ:
            status = Status(SUCCESS, "")
        else:
            status = Status(UNRECOGNIZED_OPERATION, "this node stores and answers C-ECHO")
        self._connection.send(pdus.p_data(context.context_id, commands.response(command, status)))

    def _answer_order(self, context: Context, command: Command, answer: OrderAnswer) -> None:
        said = [(Status(PENDING, ""), each) for each in answer.found] + [(answer.status, answer.content)]
        for status, content in said:
            word = commands.response(command, status, with_data_set=bool(content))
            self._connection.send(pdus.p_data(context.context_id, word))
            for piece in pdus.data_set(context.context_id, content):
                self._connection.send(piece)

    def _tally(self, status: Status, octets: int) -> None:
        if status.code == SUCCESS:
            self._count.instances += 1
            self._count.octets += octets
        else:
            self._count.refused += 1

    def _release(self) -> bytes:
        """Idle for too long: release in order (PS3.8 7.2); returns the last word.

        What the peer still sends meanwhile is not answered, so it sends it again on its next association.
        """
        deadline = time.monotonic() + self._connection.deadlines.pdu
        last_word = b""
        try:
            self._connection.send(pdus.RELEASE_RQ)
            while (left := deadline - time.monotonic()) > 0:
                kind, _ = self._pdus.read(left)
                if kind is PduType.RELEASE_RQ:  # both at once (PS3.8 9.2.2): the requestor answers first
                    last_word = pdus.RELEASE_RP
                elif kind is not PduType.P_DATA:
                    return last_word
        except (ConnectionLost, Silent, Violation):
            pass
        return pdus.abort(0, 0)

    def _turn_away(self, refused: Violation | NotNegotiable) -> None:
        word = (
            pdus.associate_rj(*refused.codes) if isinstance(refused, NotNegotiable) else pdus.abort(2, refused.reason)
        )
        self._connection.close(word)
        if isinstance(refused, Violation) and refused.is_tls:
            self._house.strangers.refused(self._connection.host)
        if self._house.quiet.worth_saying(self._connection.host):
            self._log.warning("association.rejected", reason=str(refused))
