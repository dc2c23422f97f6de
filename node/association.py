"""Associations that the node opens itself (SCU): one way to connect, one error when it fails."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Any

from pynetdicom import AE, evt

from radnode.node.security.tls import TlsUnusable, client_context

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pynetdicom.association import Association

    from radnode.config.peers import Peer

CONNECT_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 60.0


class PeerUnreachable(Exception):
    """No association with the peer; the sentence says how far it came."""


class NoContextAccepted(PeerUnreachable):
    """The peer answered, and takes nothing of what was proposed."""


def _answer_at_once(event: evt.Event) -> None:
    """Without TCP_NODELAY, every message of less than a segment waits up to 40 ms for a delayed acknowledgement."""
    transport = event.assoc.dul.socket
    if transport is not None and transport.socket is not None:
        transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


@contextlib.contextmanager
def associate(
    peer: Peer, own_ae_title: str, contexts: Sequence[tuple[str, Sequence[str]]], *,
    handlers: Sequence[tuple[Any, Any]] = (), roles: Sequence[Any] = (),
) -> Iterator[Association]:
    """An established association, released at the end of the block.

    contexts: (abstract syntax, transfer syntaxes) for each presentation context proposed. handlers: (event, function),
    for what the peer may ask on it. roles: items of SCP/SCU role selection.
    Raises :class:`PeerUnreachable` when there is no connection, a rejection or an abort.
    """
    ae = AE(ae_title=own_ae_title)
    ae.connection_timeout = CONNECT_TIMEOUT_S
    ae.acse_timeout = ANSWER_TIMEOUT_S
    ae.dimse_timeout = ANSWER_TIMEOUT_S
    ae.network_timeout = 2 * ANSWER_TIMEOUT_S  # pynetdicom ends it in another thread: two that abort at once collide
    for abstract_syntax, transfer_syntaxes in contexts:
        ae.add_requested_context(abstract_syntax, list(transfer_syntaxes))
    try:
        context = client_context(peer.tls) if peer.tls else None
        association = ae.associate(
            peer.host, peer.port, ae_title=peer.ae_title, ext_neg=list(roles),
            evt_handlers=[(evt.EVT_CONN_OPEN, _answer_at_once), *handlers],
            tls_args=(context, (peer.tls.name if peer.tls else None) or peer.host) if context else None,
        )
    except TlsUnusable as error:
        raise PeerUnreachable(f"{peer.name}: {error}") from error
    except OSError as error:  # asked of the resolver at each attempt: a name that fails now may not fail next time
        raise PeerUnreachable(f"{peer.name}: no address for {peer.host} ({error.strerror})") from error
    try:
        if association.is_rejected:
            raise PeerUnreachable(_rejection(association, peer))
        if not association.is_established and association.acceptor.primitive is not None:
            raise NoContextAccepted(f"{peer.name} accepts none of the presentation contexts proposed")
        if not association.is_established and context is not None and context.failure:
            raise PeerUnreachable(f"{peer.name} ({peer.host}:{peer.port}): no TLS with it: {context.failure}")
        if not association.is_established:
            raise PeerUnreachable(f"{peer.name} ({peer.host}:{peer.port}) does not accept a connection")
        yield association
    finally:
        if association.is_established:
            association.release()
        elif association.is_alive():
            association.abort()


def _rejection(association: Association, peer: Peer) -> str:
    answer = association.acceptor.primitive
    if answer is None:
        return f"{peer.name} rejected the association"
    return (
        f"{peer.name} rejected the association: {answer.result_str}, {answer.source_str}, {answer.reason_str} "
        f"(called AE {peer.ae_title}, calling AE {association.requestor.ae_title})"
    )
