"""What peers answer: C-ECHO, presentation contexts, C-FIND, QIDO-RS. Nothing is stored there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.uid import (
    BasicTextSRStorage,
    ChestCADSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    CTImageStorage,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    ImplicitVRLittleEndian,
    KeyObjectSelectionDocumentStorage,
    MammographyCADSRStorage,
    ParametricMapStorage,
    RLELossless,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
    generate_uid,
)
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from radnode.node.association import PeerUnreachable, associate
from radnode.node.doctor.checks_peers import Greeting
from radnode.node.query import holds_instance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from radnode.config.peers import Peer

_UNCOMPRESSED = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
FORMS: Mapping[str, tuple[str, Sequence[str]]] = {
    "LABELMAP": ("1.2.840.10008.5.1.4.1.1.66.7", (RLELossless,)),  # Label Map Segmentation Storage
    "SEG": (SegmentationStorage, _UNCOMPRESSED),
    "FRACTIONAL": (SegmentationStorage, _UNCOMPRESSED),
    "PM": (ParametricMapStorage, _UNCOMPRESSED),
    "RTSTRUCT": (RTStructureSetStorage, _UNCOMPRESSED),
    "SC": (SecondaryCaptureImageStorage, _UNCOMPRESSED),
    "GSPS": (GrayscaleSoftcopyPresentationStateStorage, _UNCOMPRESSED),
    "TID1500": (Comprehensive3DSRStorage, _UNCOMPRESSED),
    "COMPREHENSIVE": (ComprehensiveSRStorage, _UNCOMPRESSED),
    "OHIF": (Comprehensive3DSRStorage, _UNCOMPRESSED),
    "MAMMOGRAPHY-CAD": (MammographyCADSRStorage, _UNCOMPRESSED),
    "CHEST-CAD": (ChestCADSRStorage, _UNCOMPRESSED),
    "KEY-OBJECTS": (KeyObjectSelectionDocumentStorage, _UNCOMPRESSED),
    "PDF": (EncapsulatedPDFStorage, _UNCOMPRESSED),
    "IMAGES": (CTImageStorage, _UNCOMPRESSED),
    "NOT-PROCESSED": (BasicTextSRStorage, _UNCOMPRESSED),
}
"""Result form -> the SOP class of its objects and the transfer syntaxes one of which they need."""


def greet(peer: Peer, own_ae_title: str, forms: Sequence[str]) -> Greeting:
    """Propose what the objects of these result forms need, and C-ECHO."""
    wanted = sorted({FORMS[form] for form in forms})
    contexts: list[tuple[str, Sequence[str]]] = [(str(Verification), _UNCOMPRESSED)]
    contexts += [(sop_class, [syntax]) for sop_class, syntaxes in wanted for syntax in syntaxes]
    try:
        with associate(peer, own_ae_title, contexts) as association:
            accepted = {
                (str(context.abstract_syntax), str(syntax))
                for context in association.accepted_contexts
                for syntax in context.transfer_syntax
            }
            can_echo = any(sop_class == Verification for sop_class, _ in accepted)
            echoed = can_echo and association.send_c_echo().get("Status") == 0x0000
    except PeerUnreachable as error:
        return Greeting(failure=str(error), echoed=False, forms={})
    taken = {form: any((FORMS[form][0], str(syntax)) in accepted for syntax in FORMS[form][1]) for form in forms}
    return Greeting(failure="", echoed=echoed, forms=taken)


def ask(peer: Peer, own_ae_title: str) -> str:
    """C-FIND for an image that nobody has: why it was not answered, empty if it was."""
    nobody = generate_uid(prefix=None)
    try:
        holds_instance(
            peer, own_ae_title, study_instance_uid=nobody, series_instance_uid=nobody, sop_instance_uid=nobody
        )
    except PeerUnreachable as error:
        return str(error)
    return ""
