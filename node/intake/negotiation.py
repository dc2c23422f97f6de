"""Association negotiation from the acceptor's side (PS3.7 D.3, PS3.8 9.3.2 and 9.3.3).

Big endian, deflated, JPIP, video and JPEG XL syntaxes are answered with result 4 (PS3.8 Table 9-18): the
pipelines have no tested decoder for them, or inflating them has no bound. A sender then offers another syntax
or shows the refusal.

Received names stay bytes until they are found among our own: an invented UID is compared and refused, but never
decoded, warned about or written anywhere.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pynetdicom import AllStoragePresentationContexts

import radnode
from radnode.node.commitment_sets import PUSH_MODEL
from radnode.node.intake.header_walk import unpadded
from radnode.node.intake.p10 import IMPLEMENTATION_CLASS_UID
from radnode.node.intake.pdus import MAX_P_DATA, SMALLEST_OF_A_PEER, PduType, Violation
from radnode.node.performed_sets import AVAILABILITY, MPPS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"

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


_APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"  # PS3.7 A.2.1
_FIXED_PART = 68  # bytes of A-ASSOCIATE-RQ and -AC before their items

# Item types, PS3.8 9.3.2 and PS3.7 D.3.3
_APPLICATION_CONTEXT_ITEM = 0x10
_PROPOSED_CONTEXT_ITEM = 0x20
_ANSWERED_CONTEXT_ITEM = 0x21
_ABSTRACT_SYNTAX_ITEM = 0x30
_TRANSFER_SYNTAX_ITEM = 0x40
_USER_INFORMATION_ITEM = 0x50
_MAXIMUM_LENGTH_ITEM = 0x51
_IMPLEMENTATION_CLASS_ITEM = 0x52
_ROLE_SELECTION_ITEM = 0x54
_IMPLEMENTATION_VERSION_ITEM = 0x55

# Results of a presentation context, PS3.8 Table 9-18
_ACCEPTED = 0
_ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
_TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


UPS_PUSH = "1.2.840.10008.5.1.4.34.6.1"
"""Unified Procedure Step - Push SOP Class, that of every work item whichever way it came (PS3.4 CC.2)."""
UPS_WATCH = "1.2.840.10008.5.1.4.34.6.2"
UPS_EVENT = "1.2.840.10008.5.1.4.34.6.4"
UPS_QUERY = "1.2.840.10008.5.1.4.34.6.5"
SERVICES = (VERIFICATION, PUSH_MODEL, MPPS, AVAILABILITY, UPS_PUSH, UPS_WATCH, UPS_EVENT, UPS_QUERY)
"""What stores nothing."""
_SERVICES = tuple(each.encode() for each in SERVICES)
_OF_EITHER_ROLE = (PUSH_MODEL.encode(), UPS_EVENT.encode())
IMPLEMENTATION_VERSION_NAME = f"RADNODE_{radnode.__version__}"[:16]


def _supported() -> dict[bytes, Sequence[str]]:
    """Abstract syntax, as it is received, to the transfer syntaxes taken for it."""
    storage = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
    taken: dict[bytes, Sequence[str]] = {
        abstract_syntax.encode(): TRANSFER_SYNTAXES for abstract_syntax in (*storage, *RETIRED_STORAGE)
    }
    for service in _SERVICES:
        taken[service] = TRANSFER_SYNTAXES[:2]
    return taken


_SUPPORTED = _supported()


def taken() -> dict[str, Sequence[str]]:
    """Abstract syntax to the transfer syntaxes taken for it: all that a peer which may store can agree on."""
    return {abstract_syntax.decode("ascii"): syntaxes for abstract_syntax, syntaxes in _SUPPORTED.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Titles:
    """The AE titles of an A-ASSOCIATE-RQ, unpadded, a byte a character. Labels, not identities."""

    called: str
    calling: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """An accepted presentation context (PS3.8 7.1.1.13)."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """The A-ASSOCIATE-AC to send, the accepted contexts by id, and the abstract syntaxes of the others."""

    answer: bytes
    contexts: Mapping[int, Context]
    refused: Sequence[bytes]


class NotNegotiable(Exception):
    """The association is rejected with `codes`, those of PS3.8 Table 9-21."""

    def __init__(self, result: int, source: int, reason: int, why: str) -> None:
        super().__init__(why)
        self.codes = (result, source, reason)


@dataclass(slots=True)
class _Proposal:
    """What an A-ASSOCIATE-RQ asks for. contexts: (id, abstract syntax, transfer syntaxes). maximum_length 0: any.

    roles: SOP class to what the requestor would be, two bytes for SCU and SCP (PS3.7 D.3.3.4.1).
    """

    application_context: bytes = b""
    maximum_length: int = 0
    contexts: list[tuple[int, bytes, list[bytes]]] = field(default_factory=list)
    roles: dict[bytes, bytes] = field(default_factory=dict)


def titles(request: memoryview) -> Titles:
    """Read before anything else: an unknown peer is turned away unread. Raises Violation."""
    if len(request) < _FIXED_PART:
        raise Violation(Violation.INVALID_PARAMETER, "an A-ASSOCIATE-RQ without its fixed part")
    called, calling = (bytes(request[at : at + 16]).strip(b" \0").decode("latin-1") for at in (4, 20))
    return Titles(called=called, calling=calling)


def negotiate(request: memoryview, *, stores: bool = True) -> Agreement:
    """Agree on contexts. Raises Violation for what is no request, NotNegotiable for one we do not serve.

    stores: False for a peer that may not store; it gets nothing but verification and storage commitment.
    """
    if not struct.unpack_from(">H", request)[0] & 1:
        raise NotNegotiable(1, 2, 2, "another version of the upper layer protocol")
    proposal = _parse(request)
    if proposal.application_context != _APPLICATION_CONTEXT:
        raise NotNegotiable(1, 1, 2, "unknown application context")
    if 0 < proposal.maximum_length < SMALLEST_OF_A_PEER:
        raise NotNegotiable(1, 1, 1, f"the peer takes only PDUs of {proposal.maximum_length} bytes")
    contexts, refused, items = {}, [], []
    for context_id, abstract_syntax, transfer_syntaxes in proposal.contexts:
        if stores or abstract_syntax in _SERVICES:
            result, chosen = _choose(abstract_syntax, transfer_syntaxes)
        else:
            result, chosen = _ABSTRACT_SYNTAX_NOT_SUPPORTED, IMPLICIT_VR_LITTLE_ENDIAN
        if result == _ACCEPTED:
            contexts[context_id] = Context(
                context_id=context_id, abstract_syntax=abstract_syntax.decode("ascii"), transfer_syntax=chosen
            )
        else:
            refused.append(abstract_syntax)
        answered = struct.pack("BxBx", context_id, result) + _item(_TRANSFER_SYNTAX_ITEM, chosen.encode())
        items.append(_item(_ANSWERED_CONTEXT_ITEM, answered))
    return Agreement(answer=_answer(request, items, proposal.roles), contexts=contexts, refused=refused)


def takes(sop_class_uid: bytes, transfer_syntax_uid: str) -> bool:
    """Whether an association could have agreed on storing this."""
    return sop_class_uid not in _SERVICES and transfer_syntax_uid in _SUPPORTED.get(sop_class_uid, ())


def _choose(abstract_syntax: bytes, offered: Sequence[bytes]) -> tuple[int, str]:
    """Result and transfer syntax of a context; the latter means nothing in a refusal (PS3.8 9.3.3.2)."""
    if abstract_syntax not in _SUPPORTED:
        return _ABSTRACT_SYNTAX_NOT_SUPPORTED, IMPLICIT_VR_LITTLE_ENDIAN
    for transfer_syntax in _SUPPORTED[abstract_syntax]:
        if transfer_syntax.encode() in offered:
            return _ACCEPTED, transfer_syntax
    return _TRANSFER_SYNTAXES_NOT_SUPPORTED, IMPLICIT_VR_LITTLE_ENDIAN


def _parse(request: memoryview) -> _Proposal:
    proposal = _Proposal()
    for kind, value in _items(request[_FIXED_PART:]):
        if kind == _APPLICATION_CONTEXT_ITEM:
            proposal.application_context = unpadded(bytes(value))
        elif kind == _PROPOSED_CONTEXT_ITEM:
            proposal.contexts.append(_parse_context(value))
        elif kind == _USER_INFORMATION_ITEM:
            for inner, information in _items(value):
                if inner == _MAXIMUM_LENGTH_ITEM and len(information) == 4:
                    proposal.maximum_length = struct.unpack(">L", information)[0]
                elif inner == _ROLE_SELECTION_ITEM:
                    sop_class_uid, roles = _parse_roles(information)
                    proposal.roles[sop_class_uid] = roles
    ids = [context_id for context_id, _, _ in proposal.contexts]
    if len(set(ids)) < len(ids) or not all(context_id % 2 for context_id in ids):
        raise Violation(Violation.INVALID_PARAMETER, "presentation context ids that are even or repeated")
    return proposal


def _parse_context(value: memoryview) -> tuple[int, bytes, list[bytes]]:
    names: dict[int, list[bytes]] = {_ABSTRACT_SYNTAX_ITEM: [], _TRANSFER_SYNTAX_ITEM: []}
    for kind, name in _items(value[4:]):
        if kind in names:
            names[kind].append(unpadded(bytes(name)))
    if len(value) < 4 or len(names[_ABSTRACT_SYNTAX_ITEM]) != 1:
        raise Violation(Violation.INVALID_PARAMETER, "a presentation context without its abstract syntax")
    return value[0], names[_ABSTRACT_SYNTAX_ITEM][0], names[_TRANSFER_SYNTAX_ITEM]


def _parse_roles(value: memoryview) -> tuple[bytes, bytes]:
    """SOP class and the two roles of an item of SCP/SCU role selection (PS3.7 Table D.3-9)."""
    if len(value) < 4 or len(value) != (length := struct.unpack_from(">H", value)[0]) + 4:
        raise Violation(Violation.INVALID_PARAMETER, "an item of role selection of another length than it says")
    return unpadded(bytes(value[2 : 2 + length])), bytes(value[2 + length :])


def _items(body: memoryview) -> Iterator[tuple[int, memoryview]]:
    """(type, value) of each item, also of unknown ones, which are to be passed over (PS3.8 9.3.1)."""
    position = 0
    while position < len(body):
        if position + 4 > len(body):
            raise Violation(Violation.INVALID_PARAMETER, "an item is shorter than its header")
        kind, length = struct.unpack_from(">BxH", body, position)
        position += 4 + length
        if position > len(body):
            raise Violation(Violation.INVALID_PARAMETER, "an item is longer than what holds it")
        yield kind, body[position - length : position]


def _answer(request: memoryview, contexts: Sequence[bytes], roles: Mapping[bytes, bytes]) -> bytes:
    """A-ASSOCIATE-AC; its fixed part repeats that of the request (PS3.8 Table 9-17).

    A role is answered for storage commitment and for events of work items alone, with what was proposed: the node
    takes either part in them. Where none is answered the requestor is the SCU (PS3.7 D.3.3.4.2).
    """
    answered = [_item(_ROLE_SELECTION_ITEM, struct.pack(">H", len(service)) + service + roles[service])
                for service in _OF_EITHER_ROLE if service in roles]
    information = b"".join(
        (
            _item(_MAXIMUM_LENGTH_ITEM, struct.pack(">L", MAX_P_DATA)),
            _item(_IMPLEMENTATION_CLASS_ITEM, IMPLEMENTATION_CLASS_UID.encode()),
            *answered,
            _item(_IMPLEMENTATION_VERSION_ITEM, IMPLEMENTATION_VERSION_NAME.encode()),
        )
    )
    body = b"".join(
        (
            struct.pack(">H", 1) + request[2:_FIXED_PART],
            _item(_APPLICATION_CONTEXT_ITEM, _APPLICATION_CONTEXT),
            *contexts,
            _item(_USER_INFORMATION_ITEM, information),
        )
    )
    return struct.pack(">BxL", PduType.ASSOCIATE_AC, len(body)) + body


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value
