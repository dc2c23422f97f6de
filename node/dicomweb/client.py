"""HTTP that the node opens itself, to the DICOMweb or FHIR service of a peer: one way to connect, one error.

No redirect is followed, no proxy of the environment is used, nothing of an answer's text becomes part of a message.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import httpx2

from radnode.node.association import ANSWER_TIMEOUT_S, CONNECT_TIMEOUT_S, PeerUnreachable
from radnode.node.dicomweb import tokens
from radnode.node.security.tls import TlsUnusable, client_context, public_context
from radnode.node.security.tokens import SecretUnreadable, read_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from radnode.config.peers import ClientTls, Peer, WebPeer

LARGEST_ANSWER = 32 * 2**20
"""Bytes: a list of 10,000 images in JSON has about a third of it."""

_MEANING: Mapping[int, str] = {
    401: "does not know what this node shows of itself (token, password or certificate)",
    403: "does not allow this node to do that",
    404: "has no such service at this address",
    405: "has no such service at this address",
    406: "does not answer in DICOM JSON",
    415: "takes no multipart/related of application/dicom",
    429: "asks for fewer requests",
    503: "is not available now",
}


class NoAnswer(PeerUnreachable):
    """The request was begun, and no whole answer came: nobody knows what became of it."""


class PeerBusy(PeerUnreachable):
    """It wants to be asked later: not before `retry_after` (RFC 9110 10.2.3)."""

    def __init__(self, sentence: str, retry_after: timedelta) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def document(self) -> Any:
        """The body as JSON, None where it is none."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in ("application/dicom+json", "application/fhir+json", "application/json"):
            return None
        try:
            return json.loads(self.content)
        except ValueError:  # of JSON, and of its encoding
            return None


class WebClient:
    """A connection to the service of one peer; further requests use it again."""

    def __init__(
        self, name: str, tls: ClientTls | None, web: WebPeer, client: httpx2.Client, failure: Callable[[], str]
    ) -> None:
        self._name = name
        self._web = web
        self._client = client
        self._failure = failure
        self._extensions = {"sni_hostname": tls.name} if tls and tls.name else {}

    def request(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None, body: Callable[[], Iterator[bytes]] | None = None,
    ) -> Reply:
        """Ask once; with a fresh token a second time where one had ended.

        path: below the address of the service. body: gives the same bytes each time it is called, and raises what it
        likes. Raises :class:`PeerUnreachable`, :class:`NoAnswer`.
        """
        reply = self._ask(method, path, params, headers, body)
        if reply.status == 401 and self._web.oauth2:
            tokens.forget(self._web.oauth2)
            reply = self._ask(method, path, params, headers, body)
        return reply

    def objection(self, reply: Reply) -> PeerUnreachable | None:
        """Why an answer says nothing about what was sent or asked, but about this node or the service as a whole."""
        if reply.status not in _MEANING and not 300 <= reply.status < 400:
            return None
        meaning = _MEANING.get(reply.status, "names another address, which is not followed; write that one")
        sentence = f"{self._name} ({self._web.url}) {meaning} (HTTP {reply.status})"
        wait = retry_after(reply.headers) if reply.status in (429, 503) else None
        return PeerUnreachable(sentence) if wait is None else PeerBusy(sentence, wait)

    def _ask(
        self, method: str, path: str, params: Mapping[str, str] | None, headers: Mapping[str, str] | None,
        body: Callable[[], Iterator[bytes]] | None,
    ) -> Reply:
        shown = self.shown()
        where = f"{self._name} ({self._web.url})"
        try:
            with self._client.stream(
                method, self._web.url + path, params=params, headers={**(headers or {}), **shown},
                content=body() if body else None, extensions=self._extensions,
            ) as response:
                content = _bounded(response)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            why = f"no TLS with it: {self._failure()}" if self._failure() else "does not accept a connection"
            raise PeerUnreachable(f"{where}: {why}") from error
        except (httpx2.TransportError, httpx2.DecodingError, _TooMuch) as error:
            raise NoAnswer(f"{where} did not answer a {method} in full ({type(error).__name__.lstrip('_')})") from error
        return Reply(status=response.status_code, headers=response.headers, content=content)

    def shown(self) -> dict[str, str]:
        """What the node shows of itself; files are read at each request. Raises :class:`PeerUnreachable`."""
        web = self._web
        try:
            if web.oauth2:
                return {"Authorization": f"Bearer {tokens.token(web.oauth2, self._client)}"}
            if web.token_file:
                return {"Authorization": f"Bearer {read_secret(web.token_file)}"}
            if web.user and web.password_file:
                return {"Authorization": tokens.basic(web.user, read_secret(web.password_file))}
        except (SecretUnreadable, tokens.NoToken) as error:
            raise PeerUnreachable(f"{self._name}: {error}") from error
        return {}


@contextlib.contextmanager
def connect(peer: Peer) -> Iterator[WebClient]:
    """For the requests of one occasion. The peer has a `dicomweb`. Raises :class:`PeerUnreachable`."""
    if peer.dicomweb is None:
        raise PeerUnreachable(f"{peer.name} has no `dicomweb`")
    with open_service(peer.name, peer.tls, peer.dicomweb) as client:
        yield client


@contextlib.contextmanager
def open_service(name: str, tls: ClientTls | None, web: WebPeer) -> Iterator[WebClient]:
    """The same for any service. name: what messages call it."""
    try:
        context = client_context(tls) if tls else public_context()
    except TlsUnusable as error:
        raise PeerUnreachable(f"{name}: {error}") from error
    timeout = httpx2.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    with httpx2.Client(verify=context, timeout=timeout, trust_env=False, headers={"User-Agent": "radnode"}) as client:
        yield WebClient(name, tls, web, client, lambda: context.failure)


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """How long to wait (RFC 9110 10.2.3); a date is compared with the answer's own Date, not with our clock."""
    said = headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        return timedelta(seconds=min(int(said[:9]), 86_400))
    try:
        wait = parsedate_to_datetime(said) - parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError):
        return None
    return min(max(wait, timedelta()), timedelta(days=1))


class _TooMuch(Exception):
    """More than LARGEST_ANSWER."""


def _bounded(response: httpx2.Response) -> bytes:
    content = bytearray()
    for piece in response.iter_bytes():
        content += piece
        if len(content) > LARGEST_ANSWER:
            raise _TooMuch
    return bytes(content)
