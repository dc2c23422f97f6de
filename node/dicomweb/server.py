"""The DICOMweb receiver: its own port, the same guards as the DICOM ports, STOW-RS and nothing else (PS3.18 10.5)."""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from radnode.node.dicomweb import media
from radnode.node.dicomweb.answer import http_status, payload
from radnode.node.dicomweb.http import HttpStream, NotHttp, OverInflated, TooSlow, inflated
from radnode.node.dicomweb.multipart import Malformed
from radnode.node.dicomweb.stow import NoSuchType, Transaction, parts
from radnode.node.intake.connection import ConnectionLost, Deadlines, Silent
from radnode.node.intake.guards import Listener, OncePerMinute, Seats
from radnode.node.intake.header_walk import is_uid
from radnode.node.intake.pdus import Violation
from radnode.node.intake.storing import Origin
from radnode.storage.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from radnode.node.dicomweb.http import Request
    from radnode.node.dicomweb.media import MediaType
    from radnode.node.intake.connection import Connection
    from radnode.node.intake.storing import Storage
    from radnode.node.intake.tally import RefusalTally
    from radnode.node.observability import Metrics
    from radnode.node.security.certificates import Certificate
    from radnode.node.security.tls import ServerContexts

log = structlog.get_logger(__name__)

ROOT = "/dicom-web"
LATER_S = 60
"""Seconds after which a client may try again what we have no room for now."""
_ADDRESS = re.compile(rf"{ROOT}/studies(?:/([0-9.]{{1,64}}))?/?", re.ASCII)
_LONGEST_SENTENCE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class WebOptions:
    """Where to listen and how much to take. port 0: any free one. slowest_s: seconds for 128 KiB of a body."""

    host: str
    port: int
    max_requests: int
    max_requests_per_host: int
    slowest_s: float = 30.0
    deadlines: Deadlines = field(default_factory=Deadlines)


class _Refused(Exception):
    """The request is answered with an HTTP status and a sentence, and ends the connection."""

    def __init__(self, status: int, why: str, *fields: tuple[str, str]) -> None:
        super().__init__(why)
        self.status = status
        self.fields = fields


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """What a request asks for, as far as its head tells."""

    source: str
    study: str
    content: MediaType
    compressed: bool
    answer: str


class WebReceiver:
    """Listens between `start` and `stop`; with `tls` in TLS.

    recognise: the source of a request, by (address, certificate, Authorization field), or None.
    """

    def __init__(
        self,
        options: WebOptions,
        *,
        recognise: Callable[[str, Certificate | None, str], str | None],
        storage: Storage,
        metrics: Metrics,
        strangers: RefusalTally,
        tls: ServerContexts | None = None,
    ) -> None:
        self._options = options
        self._recognise = recognise
        self._storage = storage
        self._metrics = metrics
        self._strangers = strangers
        self._seats = Seats(options.max_requests, options.max_requests_per_host)
        self._quiet = OncePerMinute()
        self._listener = Listener(
            host=options.host, port=options.port, serve=self.serve, deadlines=options.deadlines, strangers=strangers,
            tls=tls.current if tls else None,
        )

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._listener.port

    def start(self) -> None:
        """Listen. Raises OSError when the address is taken."""
        self._listener.start()

    def stop(self) -> None:
        """Accept no more; what is being stored is still stored, then every connection is closed."""
        self._listener.stop()

    def serve(self, connection: Connection) -> None:
        """One connection to its end, request after request."""
        stream = HttpStream(connection, self._options.slowest_s)
        try:
            while self._one(connection, stream):
                pass
        except (ConnectionLost, Silent):
            return
        connection.linger(time.monotonic() + connection.deadlines.linger)

    def _one(self, connection: Connection, stream: HttpStream) -> bool:
        """A request and its answer; whether another may follow."""
        try:
            request = stream.request(connection.deadlines.request)
            order = self._order(request, connection)
            self._sit_down(connection)
        except NotHttp as error:
            return self._turn_away(connection, stream, _Refused(error.status, _short(f"not a request: {error}")))
        except _Refused as refused:
            return self._turn_away(connection, stream, refused)
        connection.established = True
        try:
            return self._store(order, stream)
        finally:
            connection.established = False
            self._seats.leave(connection.host)

    def _sit_down(self, connection: Connection) -> None:
        if not self._seats.take(connection.host):
            raise _Refused(503, "as many requests are open as are allowed", ("Retry-After", "1"))

    def _order(self, request: Request, connection: Connection) -> _Order:
        """Everything that can be said against a request before its body. Raises _Refused."""
        study = _study_of(request)
        source = self._recognise(connection.host, connection.certificate, request.fields.get("authorization", ""))
        if source is None:
            self._strangers.refused(connection.host)
            raise _Refused(401, "a token or a certificate of a source is needed",
                           ("WWW-Authenticate", 'Bearer realm="radnode"'),
                           ("WWW-Authenticate", 'Basic realm="radnode", charset="UTF-8"'))
        answer = media.answer_for(request.fields.get("accept", ""))
        if answer is None:
            raise _Refused(406, f"answers are {media.JSON} or {media.XML}")
        content = media.parse(request.fields.get("content-type", ""))
        if content is None:
            raise _Refused(415, "Content-Type is missing or is no media type")
        encoding = request.fields.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "gzip"):
            raise _Refused(415, "a body may be compressed by gzip only", ("Accept-Encoding", "gzip"))
        try:
            self._storage.store.check_reserve()
        except StorageError:
            raise _Refused(503, "no storage space now", ("Retry-After", str(LATER_S))) from None
        return _Order(source=source, study=study, content=content, compressed=encoding == "gzip", answer=answer)

    def _store(self, order: _Order, stream: HttpStream) -> bool:
        """To completion a request is like an association: what it carried is not whole before it ends."""
        identifier = secrets.token_hex(8)
        transaction = Transaction(self._storage, Origin(association=identifier, source=order.source), order.study)
        began, status, reason = time.monotonic(), 0, ""
        self._storage.associations.opened(identifier)
        self._metrics.associations_open.inc()
        log.info("request.opened", association=identifier, source=order.source)
        try:
            status, reason = self._take(order, stream, transaction)
        except ConnectionLost as lost:
            reason = str(lost)
            raise
        finally:
            self._metrics.associations_open.dec()
            self._metrics.associations.labels(f"stow {status}" if status else "lost").inc()
            self._storage.associations.closed(identifier)
            stored = sum(outcome.stored for outcome in transaction.outcomes)
            (log.info if status == 200 else log.warning)(
                "request.ended", association=identifier, source=order.source, status=status, reason=reason,
                instances=stored, refused=len(transaction.outcomes) - stored, octets=transaction.octets,
                seconds=round(time.monotonic() - began, 3),
            )
        fields = [("Content-Type", order.answer)]
        if status == 503:
            fields.append(("Retry-After", str(LATER_S)))
        if reason:
            fields.append(("Warning", '299 radnode "{}"'.format(reason.replace('"', "'").replace("\\", "/"))))
        if not transaction.outcomes:
            return stream.answer(status, [("Content-Type", "text/plain"), *fields[1:]], f"{reason}\n".encode())
        return stream.answer(status, fields, payload(transaction.outcomes, order.answer))

    def _take(self, order: _Order, stream: HttpStream, transaction: Transaction) -> tuple[int, str]:
        """HTTP status and, where the body is at fault, why. Raises ConnectionLost."""
        body: Iterator[bytes] = stream.body()
        if order.compressed:
            body = inflated(body)
        try:
            transaction.take(parts(body, order.content))
        except NoSuchType as error:
            return 415, str(error)
        except NotHttp as error:
            return error.status, _short(str(error))
        except Malformed as error:
            return 400, str(error)
        except TooSlow:
            return 408, "the body came too slowly"
        except OverInflated:
            return 413, "the compressed body becomes far larger than images do"
        except Violation as error:
            return 413, str(error)
        if not transaction.outcomes:
            return 400, "no part in the body"
        return http_status(transaction.outcomes), ""

    def _turn_away(self, connection: Connection, stream: HttpStream, refused: _Refused) -> bool:
        if self._quiet.worth_saying(connection.host):
            log.warning("request.refused", host=connection.host, status=refused.status, reason=str(refused))
        fields = [("Content-Type", "text/plain"), *refused.fields]
        stream.answer(refused.status, fields, f"{refused}\n".encode())
        return False


def _study_of(request: Request) -> str:
    """The Study Instance UID of the address, empty without. Raises _Refused for what is not served."""
    found = _ADDRESS.fullmatch(request.target.partition("?")[0])
    study = (found and found[1]) or ""
    if found is None or (study and not is_uid(study.encode("ascii"))):
        raise _Refused(404, f"instances are stored at {ROOT}/studies and {ROOT}/studies/(Study Instance UID)")
    if request.method != "POST":
        raise _Refused(405, "instances are stored by POST; nothing else is served", ("Allow", "POST"))
    return study


def _short(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode()[:_LONGEST_SENTENCE]
