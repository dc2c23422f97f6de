"""Who may open an association: the configured peers that send, by AE title and address (PS3.8 9.3.4).

An AE title is a label that anybody can write. It chooses among peers; the address and the certificate admit.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from radnode.config.peers import Peer
    from radnode.node.security.certificates import Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """`source` is what the ledger calls the sender: the peer's configured name, or an unknown peer's AE
    title.

    is_configured: which of the two. stores: whether it may store; a mere destination comes to report on what it got.
    """

    source: str
    is_configured: bool = True
    stores: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """`codes`: result, source and reason of the A-ASSOCIATE-RJ (PS3.8 Table 9-21). of_certificate: for that alone."""

    codes: tuple[int, int, int]
    why: str
    of_certificate: bool = False


Admission = Admitted | Rejected

CALLED_NOT_RECOGNIZED = (1, 1, 7)
CALLING_NOT_RECOGNIZED = (1, 1, 3)


def admit(
    peers: Iterable[Peer],
    *,
    own_ae_title: str,
    accept_unknown: bool,
    called: str,
    calling: str,
    host: str,
    certificate: Certificate | None = None,
    managers: Collection[str] = (),
) -> Admission:
    """Titles are compared without padding and case-sensitively (PS3.5 6.2). Several peers may share a title.

    Of several entries for one application the one that sends counts.

    managers: names of peers that tell of their worklists, whether they send images or not.
    accept_unknown: also take what no peer entry describes; an entry with another address is still respected.
    certificate: what was shown in TLS. A peer whose certificate is configured comes with it or not at all, and this
    certificate speaks for nobody else.
    """
    if called != own_ae_title:
        return Rejected(codes=CALLED_NOT_RECOGNIZED, why="called AE title is not ours")
    senders = [peer for peer in peers if peer.sends or (peer.receives and peer.commitment) or peer.name in managers]
    namesakes = [peer for peer in senders if peer.ae_title == calling]
    here = [peer for peer in namesakes if within(host, peer.hosts)]
    for peer in sorted(here, key=lambda each: not each.sends):
        if speaks_for(certificate, peer, senders):
            return Admitted(source=peer.name, stores=peer.sends)
    if here:
        return Rejected(codes=CALLING_NOT_RECOGNIZED, why=_of_certificate(certificate), of_certificate=True)
    if namesakes:
        return Rejected(codes=CALLING_NOT_RECOGNIZED, why="known AE title, other address")
    if not accept_unknown or not (calling.isascii() and calling.isprintable() and calling):
        return Rejected(codes=CALLING_NOT_RECOGNIZED, why="no peer with this AE title that sends")
    if owners(certificate, senders):
        return Rejected(codes=CALLING_NOT_RECOGNIZED, why=_of_certificate(certificate), of_certificate=True)
    return Admitted(source=calling, is_configured=False)


def owners(certificate: Certificate | None, peers: Iterable[Peer]) -> list[Peer]:
    """The peers whose configured certificate it is."""
    return [
        peer for peer in peers if certificate and peer.client_certificate and certificate.is_of(peer.client_certificate)
    ]


def speaks_for(certificate: Certificate | None, peer: Peer, peers: Iterable[Peer]) -> bool:
    """Whether `peer` may come with this certificate, or without any."""
    theirs = owners(certificate, peers)
    return peer in theirs if theirs or peer.client_certificate else True


def _of_certificate(certificate: Certificate | None) -> str:
    return "without the certificate of this peer" if certificate is None else "with a certificate of somebody else"


def calls_from(peer: Peer, address: str) -> bool:
    """Whether an address is the peer's own, as far as the configuration tells."""
    return within(address, peer.hosts) if peer.hosts else peer.host == address


def within(host: str, networks: Sequence[str]) -> bool:
    """Whether an address is one of these; of none: yes."""
    address = ipaddress.ip_address(host)
    return not networks or any(address in ipaddress.ip_network(network) for network in networks)
