"""Finds the five identifying attributes of a received data set and nothing else.

This is no DICOM parser. It goes from element to element by their lengths (PS3.5 7.1), into a container only
where its length is undefined and there is no other way to its end, and decodes the five values alone. Its
work is bounded: it never recurses, never holds more than one window of the file, and a 500 MB element costs
one addition. Everything else in a header is read later, in a process that may crash.

What it proves: every element, item and sequence up to the last byte is closed, the declared length of Pixel
Data is there, and an encapsulated one (PS3.5 A.4) has its delimiter. What it cannot prove: that nothing is
missing after the last element, and that what is inside elements of defined length makes sense.
"""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass
from enum import Enum

from radnode.node.intake.refusals import IdentityMismatch, MissingIdentity, TooComplex, Truncated, Undecodable

DEEPEST_NESTING = 100
"""Open containers at a time; the deepest real ones are content trees of structured reports, with about 30."""

MOST_ELEMENTS = 1_000_000
"""Elements and items looked at in one object, about a second of work; a CT image has 150."""

_WINDOW = 16 * 1024
_UNDEFINED = 0xFFFFFFFF
_SHORT_LENGTHS = frozenset(
    (b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO",
     b"LT", b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US")
)  # fmt: skip
"""Explicit VRs with a 16-bit length (PS3.5 Table 7.1-2); all others, also future ones, have 32 bits."""

_ITEM = 0xFFFEE000
_ITEM_END = 0xFFFEE00D
_SEQUENCE_END = 0xFFFEE0DD

_SOP_CLASS_UID = 0x00080016
_SOP_INSTANCE_UID = 0x00080018
_PATIENT_ID = 0x00100020
_STUDY_INSTANCE_UID = 0x0020000D
_SERIES_INSTANCE_UID = 0x0020000E
_WANTED = frozenset((_SOP_CLASS_UID, _SOP_INSTANCE_UID, _PATIENT_ID, _STUDY_INSTANCE_UID, _SERIES_INSTANCE_UID))
_LONGEST_VALUE = 256  # bytes; 64 characters in any character set

_UID = re.compile(rb"[0-9]+(\.[0-9]+)*")
_LETTERS = re.compile(rb"[A-Z]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What the ledger needs to know of an object.

    patient_id: as received, without padding; for comparison, as its character set is not looked at.
    as_agreed: False when only the other VR encoding than the agreed one could be walked.
    """

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    patient_id: str
    as_agreed: bool


def is_uid(value: bytes) -> bool:
    """Digits and dots, at most 64 (PS3.5 9.1). Leading zeros of a component are let pass, as archives are
    full of them.
    """
    return len(value) <= 64 and _UID.fullmatch(value) is not None


def unpadded(value: bytes) -> bytes:
    """A UID without the padding that PS3.5 9.1 wants (one NUL) and others use (spaces)."""
    return value.rstrip(b"\0 ").lstrip(b" ")


def walk(descriptor: int, start: int, end: int, *, implicit_vr: bool) -> Identity:
    """Identity of the little endian data set in bytes [start, end) of an open file.

    Senders that announce one VR encoding and use the other are common enough to be understood: the bytes are
    kept as they are, and `as_agreed` tells. Raises a :class:`~radnode.node.intake.refusals.DataSetRefused`.
    """
    try:
        return _identity(_Walk(descriptor, start, end).values(explicit=not implicit_vr), as_agreed=True)
    except (Truncated, Undecodable, MissingIdentity) as refused:
        try:
            return _identity(_Walk(descriptor, start, end).values(explicit=implicit_vr), as_agreed=False)
        except (Truncated, Undecodable, MissingIdentity, TooComplex, IdentityMismatch):
            raise refused from None


def _identity(values: dict[int, bytes], *, as_agreed: bool) -> Identity:
    uids = {}
    for tag in (_SOP_CLASS_UID, _SOP_INSTANCE_UID, _STUDY_INSTANCE_UID, _SERIES_INSTANCE_UID):
        value = unpadded(values.get(tag, b""))
        if not value:
            raise MissingIdentity(f"({tag >> 16:04x},{tag & 0xFFFF:04x}) is missing or empty")
        if not is_uid(value):
            raise IdentityMismatch(f"({tag >> 16:04x},{tag & 0xFFFF:04x}) is not a UID")
        uids[tag] = value.decode("ascii")
    return Identity(
        sop_class_uid=uids[_SOP_CLASS_UID],
        sop_instance_uid=uids[_SOP_INSTANCE_UID],
        study_instance_uid=uids[_STUDY_INSTANCE_UID],
        series_instance_uid=uids[_SERIES_INSTANCE_UID],
        patient_id=_text(values.get(_PATIENT_ID, b"")),
        as_agreed=as_agreed,
    )


def _text(value: bytes) -> str:
    value = value.strip(b"\0 ")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


class _Inside(Enum):
    """What an open container of undefined length holds."""

    ITEM = "elements, ended by an item delimiter"
    SEQUENCE = "items, ended by a sequence delimiter"
    FRAGMENTS = "items of defined length (PS3.5 A.4), ended by a sequence delimiter"


class _Walk:
    """One pass over a data set with one VR encoding. The stack of open containers takes the place of
    recursion.
    """

    def __init__(self, descriptor: int, start: int, end: int) -> None:
        self._descriptor = descriptor
        self._position = start
        self._start = start
        self._end = end
        self._window = b""
        self._window_at = start
        self._open: list[tuple[_Inside, bool]] = []  # what is open, and whether explicit VR is in force around it
        self._values: dict[int, bytes] = {}

    def values(self, *, explicit: bool) -> dict[int, bytes]:
        """The raw values of the wanted attributes at the top level of the data set."""
        for _ in range(MOST_ELEMENTS):
            if self._position >= self._end:
                break
            if not self._open:
                if self._only_padding_left():
                    break
                explicit = self._element(explicit)
            elif self._open[-1][0] is _Inside.ITEM:
                explicit = self._element(explicit)
            else:
                explicit = self._item(explicit)
        else:
            raise TooComplex(f"more than {MOST_ELEMENTS} elements")
        if self._open:
            raise Truncated(f"the data ends inside {len(self._open)} open containers")
        return self._values

    def _element(self, explicit: bool) -> bool:
        at = self._position
        header = self._bytes(at, 12 if at + 12 <= self._end else 8)
        group, element = struct.unpack_from("<HH", header)
        tag = group << 16 | element
        if group == 0xFFFE:
            return self._end_of_item(tag, explicit)
        vr = header[4:6]
        if not explicit:
            vr, length, size = b"", struct.unpack_from("<L", header, 4)[0], 8
        elif vr in _SHORT_LENGTHS:
            length, size = struct.unpack_from("<H", header, 6)[0], 8
        elif _LETTERS.fullmatch(vr):
            if len(header) < 12:
                raise Truncated(f"the data ends inside the element at byte {at - self._start}")
            length, size = struct.unpack_from("<L", header, 8)[0], 12
        else:
            raise Undecodable(f"no value representation at byte {at - self._start}")
        self._position = at + size
        if length == _UNDEFINED:
            return self._enter(vr, explicit)
        if tag in _WANTED and not self._open:
            self._keep(tag, length)
        self._skip(length)
        return explicit

    def _enter(self, vr: bytes, explicit: bool) -> bool:
        """Open a sequence or encapsulated value; returns whether explicit VR holds inside."""
        if vr in (b"OB", b"OW"):
            self._push(_Inside.FRAGMENTS, explicit)
            return explicit
        if vr not in (b"", b"SQ", b"UN"):
            raise Undecodable(f"undefined length of a {vr.decode()} before byte {self._position - self._start}")
        self._push(_Inside.SEQUENCE, explicit)
        return explicit and vr != b"UN"  # PS3.5 6.2.2 note 2: the items of such a UN have implicit VR

    def _item(self, explicit: bool) -> bool:
        at = self._position
        group, element, length = struct.unpack("<HHL", self._bytes(at, 8))
        tag = group << 16 | element
        self._position = at + 8
        if tag == _SEQUENCE_END:
            return self._open.pop()[1]
        if tag != _ITEM:
            raise Undecodable(f"no item at byte {at - self._start} of a sequence")
        if length != _UNDEFINED:
            self._skip(length)
        elif self._open[-1][0] is _Inside.FRAGMENTS:
            raise Undecodable(f"a fragment of undefined length at byte {at - self._start}")
        else:
            self._push(_Inside.ITEM, explicit)
        return explicit

    def _end_of_item(self, tag: int, explicit: bool) -> bool:
        if tag != _ITEM_END or not self._open:
            raise Undecodable(f"an item or delimiter where an element belongs, byte {self._position - self._start}")
        self._position += 8
        self._open.pop()
        return explicit

    def _push(self, inside: _Inside, explicit: bool) -> None:
        if len(self._open) >= DEEPEST_NESTING:
            raise TooComplex(f"more than {DEEPEST_NESTING} open containers")
        self._open.append((inside, explicit))

    def _keep(self, tag: int, length: int) -> None:
        if length > _LONGEST_VALUE:
            raise Undecodable(f"({tag >> 16:04x},{tag & 0xFFFF:04x}) has {length} bytes")
        value = self._bytes(self._position, length)
        if self._values.setdefault(tag, value) != value:
            raise IdentityMismatch(f"({tag >> 16:04x},{tag & 0xFFFF:04x}) is there twice, with different values")

    def _skip(self, length: int) -> None:
        self._position += length
        if self._position > self._end:
            raise Truncated(f"an element or item ends {self._position - self._end} bytes beyond the data")

    def _only_padding_left(self) -> bool:
        """Less than an element header of zeros after the last element: stray padding, not a cut."""
        left = self._end - self._position
        return left < 8 and not any(self._bytes(self._position, left))

    def _bytes(self, at: int, length: int) -> bytes:
        offset = at - self._window_at
        if offset >= 0 and offset + length <= len(self._window):
            return self._window[offset : offset + length]
        if at + length > self._end:
            raise Truncated(f"the data ends inside the element at byte {at - self._start}")
        self._window = os.pread(self._descriptor, max(length, min(_WINDOW, self._end - at)), at)
        self._window_at = at
        return self._window[:length]
