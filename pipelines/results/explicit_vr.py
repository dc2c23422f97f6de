"""Explicit VR Little Endian, written directly: for sequences of thousands of items, all alike.

pydicom takes half a millisecond for each frame of a segmentation, most of it spent on objects that are made only to
be written. An item here is a string of bytes, joined from parts that many frames share (PS3.5 7.1.2, 7.5).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydicom import Dataset

    from radnode.pipelines.findings import Code

_LONG = {"SQ", "OB", "OW", "UT"}
_PADDING = {"UI": b"\0"}


def element(keyword: str, value: str | bytes) -> bytes:
    """One element of the data dictionary. value: text in ASCII or UTF-8, or the bytes of a binary VR."""
    tag = _tag(keyword)
    vr = dictionary_VR(tag)
    content = value.encode() if isinstance(value, str) else value
    if len(content) % 2:
        content += _PADDING.get(vr, b" ")
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    length = struct.pack("<2xI" if vr in _LONG else "<H", len(content))
    return head + length + content


def item(*elements: bytes) -> bytes:
    """An item of defined length; the elements are in ascending order of their tags."""
    content = b"".join(elements)
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


def sequence(keyword: str, *items: bytes) -> bytes:
    """A sequence of defined length."""
    return element(keyword, b"".join(items))


def code(keyword: str, coded: Code) -> bytes:
    """A code sequence with one item (PS3.3 Table 8.8-1)."""
    return sequence(keyword, item(
        element("CodeValue", coded.value),
        element("CodingSchemeDesignator", coded.scheme),
        element("CodeMeaning", coded.meaning),
    ))


def unsigned_short(keyword: str, value: int) -> bytes:
    """A US element."""
    return element(keyword, struct.pack("<H", value))


def unsigned_longs(keyword: str, *values: int) -> bytes:
    """A UL element."""
    return element(keyword, struct.pack(f"<{len(values)}I", *values))


def set_sequence(dataset: Dataset, keyword: str, items: Iterable[bytes]) -> None:
    """Put encoded items into a data set that will be written in this transfer syntax; reading decodes them."""
    content = b"".join(items)
    tag = Tag(_tag(keyword))
    dataset[tag] = RawDataElement(tag, "SQ", len(content), content, 0, False, True)
    # So that writing copies the bytes instead of decoding and encoding them again.
    dataset.set_original_encoding(False, True, dataset._character_set)


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return int(tag)
