"""TLS as PS3.15 B.12 and BCP 195 (RFC 9325) want it: 1.2 at least, 1.3 preferred, forward secrecy, nothing below.

A context is made of files, and made anew when they change: a renewed certificate needs no restart.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
from typing import TYPE_CHECKING

from radnode.config.loading import stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from radnode.config.peers import ClientTls
    from radnode.config.settings import ListeningTls

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2, those that RFC 9325 4.2 recommends; all of TLS 1.3 are."""


_NOT_TLS = frozenset({
    "WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "BAD_RECORD_TYPE", "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE",
})  # fmt: skip
"""How OpenSSL calls first bytes that are not a handshake."""


class TlsUnusable(Exception):
    """These files make no TLS; the sentence names the file."""


def server_context(tls: ListeningTls, *, asks: ssl.VerifyMode) -> ssl.SSLContext:
    """For a listening port. asks: for a certificate of the peer, where a CA is configured. Raises TlsUnusable."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0  # every association shows its certificate anew
    _load_own(context, tls.certificate, tls.key)
    if tls.ca is not None:
        context.verify_mode = asks
        _trust(context, tls.ca)
    if tls.crl is not None:
        _trust(context, tls.crl)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return context


class _TellingSocket(ssl.SSLSocket):
    """Tells its context why there is no TLS; whoever calls it, as pynetdicom, may keep that for itself."""

    def do_handshake(self, block: bool = False) -> None:
        with _told(self.context):
            super().do_handshake(block)

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        with _told(self.context):  # in TLS 1.3 a refused certificate is told after the handshake
            return super().recv(buflen, flags)


class PeerContext(ssl.SSLContext):
    """Towards a peer, whose certificate and name are always checked. failure: why it did not come to TLS, if so."""

    sslsocket_class = _TellingSocket
    failure = ""


def client_context(tls: ClientTls) -> PeerContext:
    """For one association. Raises TlsUnusable."""
    context = PeerContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    _trust(context, tls.ca)
    if tls.certificate is not None:
        _load_own(context, tls.certificate, tls.key)
    return context


def public_context() -> PeerContext:
    """For a peer whose certificate one of this machine's authorities has signed."""
    context = PeerContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context


@contextlib.contextmanager
def _told(context: ssl.SSLContext) -> Iterator[None]:
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        _tell(context, error.verify_message)
        raise
    except ssl.SSLError as error:
        _tell(context, in_words(error))
        raise


def _tell(context: ssl.SSLContext, failure: str) -> None:
    if isinstance(context, PeerContext):
        context.failure = failure


def in_words(error: ssl.SSLError) -> str:
    """What OpenSSL calls a failed handshake, for an administrator."""
    reason = error.reason or str(error)
    if reason in _NOT_TLS:
        return "what it says is not TLS"
    if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return "it shows no certificate"
    return reason.lower().replace("_", " ")


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_ciphers(CIPHERS)


def _load_own(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    try:
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except ssl.SSLError as error:
        raise TlsUnusable(f"{certificate} and {key or certificate} are no certificate with its key in PEM "
                          f"({error.reason or error})") from error
    except OSError as error:
        raise TlsUnusable(f"{certificate} or {key or certificate}: {error.strerror}") from error
    except ValueError as error:
        raise TlsUnusable(str(error)) from error


def _no_passphrase() -> str:
    """OpenSSL would ask at the terminal."""
    raise ValueError("the private key has a passphrase; give one without, readable only for the account of the node")


def _trust(context: ssl.SSLContext, path: Path) -> None:
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise TlsUnusable(f"{path} holds nothing in PEM that can be trusted ({error.reason or error})") from error
    except OSError as error:
        raise TlsUnusable(f"{path}: {error.strerror}") from error


class ServerContexts:
    """The context of a listening port; `current` looks at the files each time.

    on_unusable: called with the reason when changed files cannot be used (the last good ones stay in force), and with
    the empty text once they can.
    """

    def __init__(self, tls: ListeningTls, *, asks: ssl.VerifyMode, on_unusable: Callable[[str], None]) -> None:
        """Raises :class:`TlsUnusable`."""
        self._tls = tls
        self._asks = asks
        self._on_unusable = on_unusable
        self._lock = threading.Lock()
        self._stamps = self._look()
        self._context = server_context(tls, asks=asks)

    def current(self) -> ssl.SSLContext:
        """For a connection that begins now."""
        with self._lock:
            if (stamps := self._look()) != self._stamps:
                self._stamps = stamps
                try:
                    self._context = server_context(self._tls, asks=self._asks)
                except TlsUnusable as error:
                    self._on_unusable(str(error))
                else:
                    self._on_unusable("")
            return self._context

    def _look(self) -> list[object]:
        tls = self._tls
        return [stamp(path) for path in (tls.certificate, tls.key, tls.ca, tls.crl)]
