"""How a destination is reached: by C-STORE, by STOW-RS, by MLLP, or by FHIR."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radnode.config.messaging import FhirDestination, Hl7Destination
from radnode.node.delivery import dimse, stow
from radnode.node.messaging import fhir_sending, mllp_sending

if TYPE_CHECKING:
    from collections.abc import Collection
    from contextlib import AbstractContextManager

    from radnode.config.peers import Peer
    from radnode.node.delivery.answer import Storing

    Destination = Peer | Hl7Destination | FhirDestination


def reach(
    destination: Destination, own_ae_title: str, encodings: Collection[tuple[str, str]]
) -> AbstractContextManager[Storing]:
    """A connection, closed at the end of the block, which raises :class:`~radnode.node.association.PeerUnreachable`.

    encodings: (SOP class, transfer syntax) of what is to be sent by DIMSE.
    """
    if isinstance(destination, Hl7Destination):
        return mllp_sending.connect(destination)
    if isinstance(destination, FhirDestination):
        return fhir_sending.connect(destination)
    if destination.dicomweb:
        return stow.open_connection(destination)
    return dimse.open_association(destination, own_ae_title, encodings)
