"""What a destination takes, tried out: no object is stored there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from radnode.node.association import PeerUnreachable, associate
from radnode.node.commitment_sets import PUSH_MODEL
from radnode.node.doctor import facts_peers
from radnode.node.doctor.facts_peers import FORMS

if TYPE_CHECKING:
    from collections.abc import Callable

    from radnode.config.peers import Peer
    from radnode.node.doctor.checks_peers import Greeting

_UNCOMPRESSED = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A destination as it answered. implementation: how it calls itself. largest_pdu: bytes, 0 without a limit.

    commits: it accepts a presentation context of storage commitment. find_failure: why it did not answer a C-FIND,
    empty if it did.
    """

    greeting: Greeting
    implementation: str = ""
    largest_pdu: int = 0
    commits: bool = False
    find_failure: str = ""


def look_at(peer: Peer, own_ae_title: str, told: Callable[[str], None] = lambda _: None) -> Seen:
    """C-ECHO, every result form, storage commitment and C-FIND, on associations of their own.

    told: is given the name of each part that begins.
    """
    told("C-ECHO and result forms")
    greeting = facts_peers.greet(peer, own_ae_title, list(FORMS))
    if greeting.failure:
        return Seen(greeting=greeting)
    commits, implementation, largest_pdu = False, "", 0
    told("storage commitment")
    try:
        contexts = [(str(Verification), _UNCOMPRESSED), (PUSH_MODEL, _UNCOMPRESSED)]
        with associate(peer, own_ae_title, contexts) as association:
            commits = any(context.abstract_syntax == PUSH_MODEL for context in association.accepted_contexts)
            acceptor = association.acceptor
            implementation = acceptor.implementation_version_name or str(acceptor.implementation_class_uid or "")
            largest_pdu = acceptor.maximum_length or 0
    except PeerUnreachable:
        commits = False  # it takes results, and neither of these services
    told("C-FIND")
    return Seen(
        greeting=greeting, implementation=implementation, largest_pdu=largest_pdu, commits=commits,
        find_failure=facts_peers.ask(peer, own_ae_title),
    )
