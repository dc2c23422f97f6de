"""Who may open an association: the configured peers that send, by AE title and address (PS3.8 9.3.4).

An AE title is a label that anybody can write. It chooses among peers; the address, and later a certificate,
admits.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from radnode.config.peers import Peer


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """`source` is what the ledger calls the sender: the peer's configured name, or an unknown peer's AE
    title.
    """

    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """`codes`: result, source and reason of the A-ASSOCIATE-RJ (PS3.8 Table 9-21)."""

    codes: tuple[int, int, int]
    why: str


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
) -> Admission:
    """Titles are compared without padding and case-sensitively (PS3.5 6.2). Several peers may share a title.

    accept_unknown: also take what no peer entry describes; an entry with another address is still respected.
    """
    if called != own_ae_title:
        return Rejected(codes=CALLED_NOT_RECOGNIZED, why="called AE title is not ours")
    namesakes = [peer for peer in peers if peer.ae_title == calling and peer.sends]
    for peer in namesakes:
        if _within(host, peer.hosts):
            return Admitted(source=peer.name)
    if namesakes:
        return Rejected(codes=CALLING_NOT_RECOGNIZED, why="known AE title, other address")
    if accept_unknown and calling.isascii() and calling.isprintable() and calling:
        return Admitted(source=calling)
    return Rejected(codes=CALLING_NOT_RECOGNIZED, why="no peer with this AE title that sends")


def _within(host: str, networks: Sequence[str]) -> bool:
    address = ipaddress.ip_address(host)
    return not networks or any(address in ipaddress.ip_network(network) for network in networks)
