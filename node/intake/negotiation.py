"""Association negotiation from the acceptor's side (PS3.7 D.3, PS3.8 9.3.2, 9.3.3), encoded by pynetdicom.

Big endian, deflated, JPIP, video and JPEG XL syntaxes are answered with result 4 (PS3.8 Table 9-18): the
pipelines have no tested decoder for them, or inflating them has no bound. A sender then offers another syntax
or shows the refusal.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom.uid import UID
from pynetdicom import AllStoragePresentationContexts
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import PresentationContext, negotiate_as_acceptor

import radnode
from radnode.node.intake.p10 import IMPLEMENTATION_CLASS_UID
from radnode.node.intake.pdus import MAX_P_DATA, PduType, Violation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"  # PS3.7 A.2.1
_SMALLEST_PEER_PDU = 1024
_SHORTEST_REQUEST = 68

TRANSFER_SYNTAXES = (
    "1.2.840.10008.1.2.1",  # explicit VR little endian
    IMPLICIT_VR_LITTLE_ENDIAN,
    "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 lossless
    "1.2.840.10008.1.2.4.201",  # HTJ2K lossless
    "1.2.840.10008.1.2.4.202",  # HTJ2K lossless, RPCL
    "1.2.840.10008.1.2.4.70",  # JPEG lossless, first-order prediction
    "1.2.840.10008.1.2.4.57",  # JPEG lossless
    "1.2.840.10008.1.2.5",  # RLE
    "1.2.840.10008.1.2.4.81",  # JPEG-LS near-lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.4.203",  # HTJ2K
    "1.2.840.10008.1.2.4.50",  # JPEG baseline
    "1.2.840.10008.1.2.4.51",  # JPEG extended
)
"""In the order in which one is taken when a peer offers several for a context: nothing makes it compress with
loss.
"""

RETIRED_STORAGE = (
    "1.2.840.10008.5.1.4.1.1.3",  # ultrasound multi-frame
    "1.2.840.10008.5.1.4.1.1.5",  # nuclear medicine
    "1.2.840.10008.5.1.4.1.1.6",  # ultrasound
    "1.2.840.10008.5.1.4.1.1.8",  # standalone overlay
    "1.2.840.10008.5.1.4.1.1.9",  # standalone curve
    "1.2.840.10008.5.1.4.1.1.10",  # standalone modality LUT
    "1.2.840.10008.5.1.4.1.1.11",  # standalone VOI LUT
    "1.2.840.10008.5.1.4.1.1.12.3",  # X-ray angiographic bi-plane
    "1.2.840.10008.5.1.4.1.1.129",  # standalone PET curve
)
"""Classes of old studies that archives still forward; one refused object fails a whole study at some senders.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """An accepted presentation context (PS3.8 7.1.1.13)."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Titles:
    """The AE titles of an A-ASSOCIATE-RQ, without padding, every byte as one character. Labels, not
    identities.
    """

    called: str
    calling: str


def titles(request: memoryview) -> Titles:
    """Read before anything else, so that an unknown peer reaches no parser. Raises Violation."""
    if len(request) < _SHORTEST_REQUEST:
        raise Violation(Violation.INVALID_PARAMETER, "an A-ASSOCIATE-RQ without its fixed part")
    called, calling = (bytes(request[at : at + 16]).strip(b" \0").decode("latin-1") for at in (4, 20))
    return Titles(called=called, calling=calling)


def supports_protocol(request: memoryview) -> bool:
    """Version 1 of the upper layer protocol is bit 0 (PS3.8 9.3.2)."""
    return bool(struct.unpack_from(">H", request)[0] & 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What was agreed: the A-ASSOCIATE-AC to send, and the accepted contexts by id."""

    answer: bytes
    contexts: Mapping[int, Context]
    refused: Sequence[str]


def negotiate(request: memoryview) -> Agreement:
    """Agree on contexts. Raises Violation for what is no request, NotNegotiable for one we do not serve."""
    header = struct.pack(">BxL", PduType.ASSOCIATE_RQ, len(request))
    try:
        pdu = A_ASSOCIATE_RQ()
        pdu.decode(header + bytes(request))
        proposal = pdu.to_primitive()
    except Exception as error:
        raise Violation(Violation.INVALID_PARAMETER, f"an unreadable A-ASSOCIATE-RQ: {error!r}") from error
    if proposal.application_context_name != _APPLICATION_CONTEXT:
        raise NotNegotiable(1, 1, 2, "unknown application context")
    if 0 < (proposal.maximum_length_received or 0) < _SMALLEST_PEER_PDU:
        raise NotNegotiable(1, 1, 1, f"the peer takes only PDUs of {proposal.maximum_length_received} bytes")
    results, _ = negotiate_as_acceptor(proposal.presentation_context_definition_list, _SUPPORTED)
    return Agreement(
        answer=_answer(proposal, results),
        contexts={
            each.context_id: Context(
                context_id=each.context_id,
                abstract_syntax=str(each.abstract_syntax),
                transfer_syntax=str(each.transfer_syntax[0]),
            )
            for each in results
            if each.result == 0 and each.context_id is not None
        },
        refused=tuple(str(each.abstract_syntax) for each in results if each.result != 0),
    )


class NotNegotiable(Exception):
    """The association is rejected with `codes`, those of PS3.8 Table 9-21."""

    def __init__(self, result: int, source: int, reason: int, why: str) -> None:
        super().__init__(why)
        self.codes = (result, source, reason)


def _answer(proposal: A_ASSOCIATE, results: Sequence[PresentationContext]) -> bytes:
    answer = A_ASSOCIATE()
    answer.application_context_name = UID(_APPLICATION_CONTEXT)
    answer.calling_ae_title = proposal.calling_ae_title
    answer.called_ae_title = proposal.called_ae_title
    answer.result = 0
    answer.result_source = 1
    answer.presentation_context_definition_results_list = list(results)
    length = MaximumLengthNotification()
    length.maximum_length_received = MAX_P_DATA
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = f"RADNODE_{radnode.__version__}"[:16]
    answer.user_information = [length, implementation, version]
    pdu = A_ASSOCIATE_AC()
    pdu.from_primitive(answer)
    encoded: bytes = pdu.encode()
    return encoded


def _supported() -> list[PresentationContext]:
    storage = {str(context.abstract_syntax) for context in AllStoragePresentationContexts} | set(RETIRED_STORAGE)
    offers = [(VERIFICATION, TRANSFER_SYNTAXES[:2])] + [(each, TRANSFER_SYNTAXES) for each in sorted(storage)]
    supported = []
    for abstract_syntax, transfer_syntaxes in offers:
        context = PresentationContext()
        context.abstract_syntax = abstract_syntax
        context.transfer_syntax = list(transfer_syntaxes)
        supported.append(context)
    return supported


_SUPPORTED = _supported()
