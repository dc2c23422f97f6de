"""The data sets of Storage Commitment (PS3.4 J.3.2.1.1, J.3.3.1.1): which objects a transaction is about.

Written with pydicom; read here, because they arrive at the receiver from a peer: one pass by element lengths
(PS3.5 7.1, 7.5), two levels deep, and nothing is decoded but transaction, references and failure reasons.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pynetdicom.dsutils import encode

from radnode.node.intake.header_walk import is_uid, unpadded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PUSH_MODEL = "1.2.840.10008.1.20.1"
"""Storage Commitment Push Model SOP Class."""
PUSH_MODEL_INSTANCE = "1.2.840.10008.1.20.1.1"
"""Its one well-known instance (PS3.4 J.3.5)."""
REQUEST_STORAGE_COMMITMENT = 1
"""Action Type ID (PS3.4 J.3.2.1.1)."""
ALL_COMMITTED = 1
SOME_FAILED = 2
"""Event Type IDs (PS3.4 J.3.3.1.1)."""
LONGEST = 2 * 1024 * 1024
"""Bytes; some 15,000 references, more than any study has."""

_TRANSACTION_UID = 0x00081195
_FAILED_SOP_SEQUENCE = 0x00081198
_REFERENCED_SOP_SEQUENCE = 0x00081199
_REFERENCED_SOP_CLASS_UID = 0x00081150
_REFERENCED_SOP_INSTANCE_UID = 0x00081155
_FAILURE_REASON = 0x00081197
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
"""Explicit VRs with a length of 32 bits (PS3.5 Table 7.1-1)."""


class Unreadable(Exception):
    """It is no such data set; the sentence says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One SOP instance. failure: why it is not committed to (0008,1197), None where nothing failed."""

    sop_class_uid: str
    sop_instance_uid: str
    failure: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A transaction and its references: asked for, committed to, or failed."""

    uid: str
    references: Sequence[Reference]


def written(transaction: Transaction) -> Dataset:
    """As Action Information or Event Information."""
    dataset = Dataset()
    dataset.TransactionUID = transaction.uid
    kept = [_item(each) for each in transaction.references if each.failure is None]
    failed = [_item(each) for each in transaction.references if each.failure is not None]
    if kept:
        dataset.ReferencedSOPSequence = kept
    if failed:
        dataset.FailedSOPSequence = failed
    return dataset


def encoded(transaction: Transaction, *, implicit_vr: bool) -> bytes:
    """The same as bytes, little endian."""
    content = encode(written(transaction), implicit_vr, True)
    if content is None:
        raise ValueError("a transaction that cannot be encoded")
    return content


def read(content: bytes, *, implicit_vr: bool) -> Transaction:
    """A transaction from its bytes, little endian. What failed counts as failed, whatever else is said of it.

    Raises :class:`Unreadable`.
    """
    view = memoryview(content)
    uid = ""
    found: dict[str, Reference] = {}
    failed: dict[str, Reference] = {}
    try:
        for tag, value in _elements(view, implicit_vr):
            if tag == _TRANSACTION_UID:
                uid = _uid(value)
            elif tag in (_REFERENCED_SOP_SEQUENCE, _FAILED_SOP_SEQUENCE):
                into = failed if tag == _FAILED_SOP_SEQUENCE else found
                for item in _items(value, implicit_vr):
                    reference = _reference(item, implicit_vr, is_failure=into is failed)
                    into[reference.sop_instance_uid] = reference
    except struct.error:
        raise Unreadable("it ends inside an element") from None
    if not uid:
        raise Unreadable("it has no Transaction UID")
    return Transaction(uid=uid, references=tuple({**found, **failed}.values()))


def _item(reference: Reference) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    if reference.failure is not None:
        item.FailureReason = reference.failure
    return item


def _reference(item: memoryview, implicit_vr: bool, *, is_failure: bool) -> Reference:
    values = {tag: value for tag, value in _elements(item, implicit_vr) if tag != _ITEM_END}
    try:
        sop_class_uid, sop_instance_uid = (
            _uid(values[tag]) for tag in (_REFERENCED_SOP_CLASS_UID, _REFERENCED_SOP_INSTANCE_UID)
        )
        failure = struct.unpack("<H", values[_FAILURE_REASON])[0] if is_failure else None
    except KeyError as missing:
        raise Unreadable(f"a reference without ({missing.args[0] >> 16:04x},{missing.args[0] & 0xFFFF:04x})") from None
    return Reference(sop_class_uid=sop_class_uid, sop_instance_uid=sop_instance_uid, failure=failure)


def _uid(value: memoryview) -> str:
    uid = unpadded(bytes(value[:66]))
    if len(value) > 66 or not is_uid(uid):
        raise Unreadable("a UID that is none")
    return uid.decode("ascii")


def _elements(view: memoryview, implicit_vr: bool) -> Iterator[tuple[int, memoryview]]:
    """(tag, value) of each element; of a sequence the bytes of its items. Only a sequence has an undefined length."""
    position = 0
    while position < len(view):
        tag, vr, length, start = _header(view, position, implicit_vr)
        if length == _UNDEFINED:
            if vr not in (b"", b"SQ"):
                raise Unreadable("an element of undefined length that is no sequence")
            end = _end_of_sequence(view, start, implicit_vr)
            yield tag, view[start:end]
            position = end + 8
        else:
            position = start + length
            if position > len(view):
                raise Unreadable("an element is longer than what holds it")
            yield tag, view[start:position]


def _header(view: memoryview, position: int, implicit_vr: bool) -> tuple[int, bytes, int, int]:
    """Tag, VR (empty where implicit), length and where the value begins."""
    group, element = struct.unpack_from("<HH", view, position)
    tag = group << 16 | element
    if implicit_vr or group == 0xFFFE:
        return tag, b"", struct.unpack_from("<L", view, position + 4)[0], position + 8
    vr = bytes(view[position + 4 : position + 6])
    if vr in _LONG:
        return tag, vr, struct.unpack_from("<L", view, position + 8)[0], position + 12
    return tag, vr, struct.unpack_from("<H", view, position + 6)[0], position + 8


def _items(view: memoryview, implicit_vr: bool) -> Iterator[memoryview]:
    """The bytes of each item of a sequence."""
    position = 0
    while position < len(view):
        tag, _, length, start = _header(view, position, implicit_vr)
        if tag == _SEQUENCE_END:
            return
        end, position = _end_of_item(view, tag, start, length, implicit_vr)
        yield view[start:end]


def _end_of_sequence(view: memoryview, start: int, implicit_vr: bool) -> int:
    """Where the delimiter of a sequence of undefined length begins."""
    position = start
    while position < len(view):
        tag, _, length, inside = _header(view, position, implicit_vr)
        if tag == _SEQUENCE_END:
            return position
        _, position = _end_of_item(view, tag, inside, length, implicit_vr)
    raise Unreadable("a sequence that does not end")


def _end_of_item(view: memoryview, tag: int, start: int, length: int, implicit_vr: bool) -> tuple[int, int]:
    """Where the value of an item ends, and where what follows begins. No sequence of undefined length is inside one."""
    if tag != _ITEM:
        raise Unreadable("no item in a sequence")
    if length != _UNDEFINED:
        if start + length > len(view):
            raise Unreadable("an item is longer than what holds it")
        return start + length, start + length
    position = start
    while position < len(view):
        tag, _, length, inside = _header(view, position, implicit_vr)
        if tag == _ITEM_END:
            return position, inside
        if length == _UNDEFINED:
            raise Unreadable("sequences in sequences")
        position = inside + length
    raise Unreadable("an item that does not end")
