"""DIMSE command sets (PS3.7 6.3.1): a handful of short elements in implicit VR little endian.

Read and written here rather than through a data set library because each object costs two of them, and
because a command is the first thing a peer makes the node interpret: nothing is decoded but the
elements below.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from radnode.node.intake.header_walk import is_uid, unpadded
from radnode.node.intake.pdus import Violation

if TYPE_CHECKING:
    from radnode.node.statuses import Status

C_STORE_RQ = 0x0001
C_FIND_RQ = 0x0020
C_ECHO_RQ = 0x0030
N_EVENT_REPORT_RQ = 0x0100
N_GET_RQ = 0x0110
N_SET_RQ = 0x0120
N_ACTION_RQ = 0x0130
N_CREATE_RQ = 0x0140
C_CANCEL_RQ = 0x0FFF
LONGEST = 16_384
"""Bytes of a command set; the longest real one has 300."""

_RESPONSE = 0x8000
_NO_DATA_SET = 0x0101
_A_DATA_SET = 0x0001
_AFFECTED_SOP_CLASS_UID = 0x0002
_REQUESTED_SOP_CLASS_UID = 0x0003
_COMMAND_FIELD = 0x0100
_MESSAGE_ID = 0x0110
_MESSAGE_ID_RESPONDED_TO = 0x0120
_DATA_SET_TYPE = 0x0800
_STATUS = 0x0900
_ERROR_COMMENT = 0x0902
_AFFECTED_SOP_INSTANCE_UID = 0x1000
_REQUESTED_SOP_INSTANCE_UID = 0x1001
_EVENT_TYPE_ID = 0x1002
_ATTRIBUTES = 0x1005
_ACTION_TYPE_ID = 0x1008


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A request of a peer. The UIDs are without padding, else as received: empty, or no UIDs at all, they may
    be.

    type_id: of an event or action (PS3.7 10.1.1, 10.1.4), 0 where there is none. attributes: of an N-GET (10.1.2).
    """

    field: int
    message_id: int
    has_data_set: bool
    sop_class_uid: bytes
    sop_instance_uid: bytes
    type_id: int = 0
    attributes: frozenset[int] = frozenset()

    @property
    def is_request(self) -> bool:
        """Whether it wants an answer (PS3.7 Annex E: responses have the highest bit, a cancel is never
        answered).
        """
        return not self.field & _RESPONSE and self.field != C_CANCEL_RQ


def parse(encoded: bytes) -> Command:
    """A command from its bytes. Raises Violation."""
    values = {}
    position = 0
    try:
        while position < len(encoded):
            group, element, length = struct.unpack_from("<HHL", encoded, position)
            position += 8 + length
            if group != 0 or position > len(encoded):
                raise Violation(Violation.INVALID_PARAMETER, "a command set with foreign or cut elements")
            values[element] = encoded[position - length : position]
        return Command(
            field=_number(values[_COMMAND_FIELD]),
            message_id=_number(values.get(_MESSAGE_ID, b"\0\0")),
            has_data_set=_number(values[_DATA_SET_TYPE]) != _NO_DATA_SET,
            sop_class_uid=unpadded(values.get(_AFFECTED_SOP_CLASS_UID, values.get(_REQUESTED_SOP_CLASS_UID, b""))),
            sop_instance_uid=unpadded(
                values.get(_AFFECTED_SOP_INSTANCE_UID, values.get(_REQUESTED_SOP_INSTANCE_UID, b""))
            ),
            type_id=_number(values.get(_EVENT_TYPE_ID, values.get(_ACTION_TYPE_ID, b"\0\0"))),
            attributes=frozenset(
                group << 16 | element for group, element in struct.iter_unpack("<HH", values.get(_ATTRIBUTES, b""))
            ),
        )
    except (struct.error, KeyError) as error:
        raise Violation(Violation.INVALID_PARAMETER, f"a command set that cannot be read: {error!r}") from error


def response(request: Command, status: Status, *, with_data_set: bool = False) -> bytes:
    """The answer to `request` (PS3.7 9.3.1.2, 9.3.5.2, 10.3.1.2, 10.3.5.2). UIDs that are none are not repeated."""
    elements = [
        _element(_COMMAND_FIELD, struct.pack("<H", request.field | _RESPONSE)),
        _element(_MESSAGE_ID_RESPONDED_TO, struct.pack("<H", request.message_id)),
        _element(_DATA_SET_TYPE, struct.pack("<H", _A_DATA_SET if with_data_set else _NO_DATA_SET)),
        _element(_STATUS, struct.pack("<H", status.code)),
    ]
    if is_uid(request.sop_class_uid):
        elements.insert(0, _element(_AFFECTED_SOP_CLASS_UID, request.sop_class_uid, b"\0"))
    if status.comment:
        elements.append(_element(_ERROR_COMMENT, status.comment.encode("ascii"), b" "))
    if is_uid(request.sop_instance_uid):
        elements.append(_element(_AFFECTED_SOP_INSTANCE_UID, request.sop_instance_uid, b"\0"))
    if request.type_id and request.field in (N_EVENT_REPORT_RQ, N_ACTION_RQ):
        which = _EVENT_TYPE_ID if request.field == N_EVENT_REPORT_RQ else _ACTION_TYPE_ID
        elements.append(_element(which, struct.pack("<H", request.type_id)))
    body = b"".join(elements)
    return _element(0x0000, struct.pack("<L", len(body))) + body


def _number(value: bytes) -> int:
    number: int = struct.unpack("<H", value)[0]
    return number


def _element(element: int, value: bytes, padding: bytes = b"") -> bytes:
    value += padding * (len(value) % 2)
    return struct.pack("<HHL", 0, element, len(value)) + value
