"""Who sends a request: a configured peer, known by its token or by its certificate. Nobody else, ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from radnode.node.intake.admission import owners, speaks_for, within
from radnode.node.security.tokens import SecretUnreadable, is_same, read_secret, shown_in

if TYPE_CHECKING:
    from collections.abc import Collection

    from radnode.config.peers import Peer
    from radnode.node.security.certificates import Certificate
    from radnode.node.security.tokens import Shown

log = structlog.get_logger(__name__)


def recognise(
    peers: Collection[Peer], *, host: str, certificate: Certificate | None, authorization: str
) -> str | None:
    """The peer's name; None for whom we do not know.

    A token that is shown counts, whatever the certificate says, but a peer whose certificate is configured has to come
    with it. The address is looked at in any case.
    """
    senders = [peer for peer in peers if peer.sends and within(host, peer.hosts)]
    if not authorization:
        known = owners(certificate, senders)
    else:
        shown = shown_in(authorization)
        known = [peer for peer in senders if shown is not None and _has_token(peer, shown)]
    return next((peer.name for peer in known if speaks_for(certificate, peer, peers)), None)


def _has_token(peer: Peer, shown: Shown) -> bool:
    if peer.token_file is None or shown.user not in ("", peer.name):
        return False
    try:
        return is_same(read_secret(peer.token_file), shown.secret)
    except SecretUnreadable as error:
        log.error("token.unreadable", source=peer.name, reason=str(error))
        return False
