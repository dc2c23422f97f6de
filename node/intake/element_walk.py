"""A small data set of a peer by element lengths (PS3.5 7.1, 7.5): wanted elements and sequences, nothing decoded."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

Attributes = dict[int, "bytes | list[Attributes]"]
"""Tag -> the bytes of a value, or the items of a sequence."""

DEEPEST = 8
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
"""Explicit VRs with a length of 32 bits (PS3.5 Table 7.1-1)."""


class Unreadable(Exception):
    """It is no such data set; the sentence says why, and holds nothing of it."""


def walk(content: bytes, *, implicit_vr: bool, sequences: Collection[int]) -> Attributes:
    """The elements of a data set, little endian; of `sequences` the items. Raises :class:`Unreadable`."""
    try:
        return _Walk(memoryview(content), implicit_vr, frozenset(sequences)).dataset(0, len(content), 0)[0]
    except struct.error:
        raise Unreadable("it ends inside an element") from None


def text(attributes: Mapping[int, object], tag: int) -> str:
    """A value of the default repertoire, without padding; empty where there is none or it is something else."""
    value = attributes.get(tag)
    if not isinstance(value, bytes) or len(value) > 64 or not value.isascii():
        return ""
    return value.decode("ascii").strip(" \0")


def items(attributes: Mapping[int, object], tag: int) -> list[Attributes]:
    """The items of a sequence; none where there is none."""
    value = attributes.get(tag)
    return value if isinstance(value, list) else []


class _Walk:
    def __init__(self, view: memoryview, implicit_vr: bool, sequences: frozenset[int]) -> None:
        self._view = view
        self._implicit_vr = implicit_vr
        self._sequences = sequences

    def dataset(self, at: int, end: int, depth: int, *, delimited: bool = False) -> tuple[Attributes, int]:
        """Its elements, and where what follows it begins."""
        if depth > DEEPEST:
            raise Unreadable("sequences are nested too deep")
        found: Attributes = {}
        while at < end:
            tag, length, start, may_be_sequence = self._header(at)
            if tag == _ITEM_END and delimited:
                return found, start
            if length == _UNDEFINED:
                if not may_be_sequence:
                    raise Unreadable("an element of undefined length that is no sequence")
                found[tag], at = self._sequence(start, end, depth, delimited=True)
                continue
            at = start + length
            if at > end:
                raise Unreadable("an element is longer than what holds it")
            is_wanted = tag in self._sequences
            found[tag] = self._sequence(start, at, depth)[0] if is_wanted else bytes(self._view[start:at])
        if delimited:
            raise Unreadable("an item that does not end")
        return found, at

    def _sequence(self, at: int, end: int, depth: int, *, delimited: bool = False) -> tuple[list[Attributes], int]:
        found: list[Attributes] = []
        while at < end:
            tag, length, start, _ = self._header(at)
            if tag == _SEQUENCE_END and delimited:
                return found, start
            if tag != _ITEM:
                raise Unreadable("no item in a sequence")
            if length == _UNDEFINED:
                item, at = self.dataset(start, end, depth + 1, delimited=True)
            elif start + length > end:
                raise Unreadable("an item is longer than what holds it")
            else:
                item, at = self.dataset(start, start + length, depth + 1)
            found.append(item)
        if delimited:
            raise Unreadable("a sequence that does not end")
        return found, at

    def _header(self, at: int) -> tuple[int, int, int, bool]:
        """Tag, length, where the value begins, and whether it may be a sequence."""
        group, element = struct.unpack_from("<HH", self._view, at)
        tag = group << 16 | element
        if self._implicit_vr or group == 0xFFFE:
            return tag, struct.unpack_from("<L", self._view, at + 4)[0], at + 8, True
        vr = bytes(self._view[at + 4 : at + 6])
        if vr in _LONG:
            return tag, struct.unpack_from("<L", self._view, at + 8)[0], at + 12, vr == b"SQ"
        return tag, struct.unpack_from("<H", self._view, at + 6)[0], at + 8, False
