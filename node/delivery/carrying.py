"""How a destination is reached: by DIMSE, by MLLP, or by FHIR."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from radnode.config.messaging import FhirDestination, Hl7Destination
from radnode.node.delivery import dimse
from radnode.node.messaging import fhir_sending, mllp_sending

if TYPE_CHECKING:
    from collections.abc import Collection
    from contextlib import AbstractContextManager
    from pathlib import Path

    from radnode.config.peers import Peer
    from radnode.node.delivery.answer import Answer

    Destination = Peer | Hl7Destination | FhirDestination


class Carrier(Protocol):
    """What takes results one after the other."""

    @property
    def is_established(self) -> bool:
        """Whether another can be sent."""

    def store(self, path: Path, digest: str, sop_class_uid: str, transfer_syntax_uid: str) -> Answer:
        """Send one. Raises :class:`~radnode.node.delivery.dimse.NotAccepted`, Damaged, OSError for the file."""


def reach(
    destination: Destination, own_ae_title: str, encodings: Collection[tuple[str, str]]
) -> AbstractContextManager[Carrier]:
    """A connection, closed at the end of the block, which raises :class:`~radnode.node.association.PeerUnreachable`.

    encodings: (SOP class, transfer syntax) of what is to be sent by DIMSE.
    """
    if isinstance(destination, Hl7Destination):
        return mllp_sending.connect(destination)
    if isinstance(destination, FhirDestination):
        return fhir_sending.connect(destination)
    return dimse.open_association(destination, own_ae_title, encodings)
