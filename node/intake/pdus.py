"""The PDUs of PS3.8 9.3 that an acceptor reads and writes, except A-ASSOCIATE (`negotiation.py`)."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_P_DATA = 131_072
"""The maximum PDU length we announce (PS3.8 D.1). Larger ones brought no speed; each association holds one
buffer.
"""

MAX_CONTROL = 65_536
"""Longest other PDU read: 128 presentation contexts of 30 transfer syntaxes each need half of it."""


SMALLEST_OF_A_PEER = 1024
"""A peer that takes only shorter PDUs is turned away."""
_PDV_HEADER = 6

TLS_HANDSHAKE = 22
"""First byte of TLS (RFC 8446 5.1), where somebody takes this for its port; no PDU begins with it."""


class PduType(IntEnum):
    """First byte of a PDU."""

    ASSOCIATE_RQ = 1
    ASSOCIATE_AC = 2
    ASSOCIATE_RJ = 3
    P_DATA = 4
    RELEASE_RQ = 5
    RELEASE_RP = 6
    ABORT = 7


class Violation(Exception):
    """The peer broke the upper layer protocol. `reason` is that of our A-ABORT (PS3.8 Table 9-26)."""

    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    INVALID_PARAMETER = 6

    def __init__(self, reason: int, what: str, *, is_tls: bool = False) -> None:
        super().__init__(what)
        self.reason = reason
        self.is_tls = is_tls


RELEASE_RQ = struct.pack(">BxL4x", PduType.RELEASE_RQ, 4)
RELEASE_RP = struct.pack(">BxL4x", PduType.RELEASE_RP, 4)


def abort(source: int, reason: int) -> bytes:
    """A-ABORT. source 0: service user, 2: service provider with a reason (PS3.8 Table 9-26)."""
    return struct.pack(">BxLxxBB", PduType.ABORT, 4, source, reason)


def associate_rj(result: int, source: int, reason: int) -> bytes:
    """A-ASSOCIATE-RJ with the codes of PS3.8 Table 9-21."""
    return struct.pack(">BxLxBBB", PduType.ASSOCIATE_RJ, 4, result, source, reason)


def p_data(context_id: int, command_set: bytes) -> bytes:
    """P-DATA-TF with a whole command set as its single PDV (PS3.8 E.2: 3 is command, last)."""
    return struct.pack(">BxLLBB", PduType.P_DATA, len(command_set) + 6, len(command_set) + 2, context_id, 3) + (
        command_set
    )


def data_set(context_id: int, content: bytes) -> Iterator[bytes]:
    """P-DATA-TFs with a data set, each within the smallest PDU length that a peer of ours may ask for."""
    step = SMALLEST_OF_A_PEER - _PDV_HEADER
    for at in range(0, len(content), step):
        piece = content[at : at + step]
        control = 2 if at + step >= len(content) else 0
        yield struct.pack(">BxLLBB", PduType.P_DATA, len(piece) + 6, len(piece) + 2, context_id, control) + piece


def fragments(body: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """(presentation context id, message control header, fragment) of each PDV of a P-DATA-TF. Raises
    Violation.
    """
    position = 0
    while position < len(body):
        if position + 6 > len(body):
            raise Violation(Violation.INVALID_PARAMETER, "a PDV is shorter than its header")
        length, context_id, control = struct.unpack_from(">LBB", body, position)
        end = position + 4 + length
        if length < 2 or end > len(body):
            raise Violation(Violation.INVALID_PARAMETER, "a PDV is longer than its PDU")
        yield context_id, control, body[position + 6 : end]
        position = end
