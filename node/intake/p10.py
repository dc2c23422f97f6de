"""The file of a received data set: PS3.10 preamble and File Meta Information before the bytes as received.

The header is a function of SOP class, SOP instance and transfer syntax alone. It names neither sender nor
release nor time, so that the SHA-256 of the whole file is the same whenever, from whomever and by whichever
release of the node the same data set is received: the content address of an object is its identity, and
anyone can verify it with `sha256sum`.
"""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass

from radnode.node.intake.refusals import NotAFile

IMPLEMENTATION_CLASS_UID = "2.25.201305556735102497163151754579747293472"
"""The product's own; another one would make every object that is sent again look new."""

_PREAMBLE = bytes(128) + b"DICM"


def header(*, sop_class_uid: bytes, sop_instance_uid: bytes, transfer_syntax_uid: bytes) -> bytes:
    """Preamble and group 0002 (PS3.10 7.1) for a data set; the UIDs unpadded."""
    before, after = _around_the_instance(sop_class_uid, transfer_syntax_uid)
    instance = _uid(0x0003, sop_instance_uid)
    length = struct.pack("<HH2sHL", 0x0002, 0x0000, b"UL", 4, len(before) + len(instance) + len(after))
    return b"".join((_PREAMBLE, length, before, instance, after))


@functools.lru_cache(maxsize=1024)
def _around_the_instance(sop_class_uid: bytes, transfer_syntax_uid: bytes) -> tuple[bytes, bytes]:
    """Everything that the objects of a presentation context share."""
    version = struct.pack("<HH2sxxL2s", 0x0002, 0x0001, b"OB", 2, b"\0\1")
    return version + _uid(0x0002, sop_class_uid), _uid(0x0010, transfer_syntax_uid) + _uid(
        0x0012, IMPLEMENTATION_CLASS_UID.encode()
    )


def _uid(element: int, value: bytes) -> bytes:
    padded = value + b"\0" * (len(value) % 2)
    return struct.pack("<HH2sH", 0x0002, element, b"UI", len(padded)) + padded


LONGEST_HEADER = 1024
"""Bytes in which :func:`header` ends: four UIDs of at most 64 characters."""


def read_header(data: bytes) -> tuple[int, str] | None:
    """Where the data set of a file written with :func:`header` begins, and its transfer syntax; None for another."""
    position, end = len(_PREAMBLE) + 12, len(data)
    if not data.startswith(_PREAMBLE) or end < position:
        return None
    end = position + int(struct.unpack_from("<L", data, position - 4)[0])
    position += 14  # File Meta Information Version
    found: dict[int, str] = {}
    while position + 8 <= min(end, len(data)):
        element, length = struct.unpack_from("<2xH2xH", data, position)
        found[element] = data[position + 8 : position + 8 + length].rstrip(b"\0").decode("ascii", "replace")
        position += 8 + length
    return (end, found[0x0010]) if position == end and 0x0010 in found else None


LONGEST_LOOK = 16 * 1024
"""Bytes of a data set in which a file header before it would end."""

_LONG_LENGTHS = frozenset((b"OB", b"UN", b"UT"))


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMeta:
    """What a file says before its data set. length: bytes of preamble, prefix and group 0002. UIDs without padding."""

    length: int
    sop_class_uid: bytes
    sop_instance_uid: bytes
    transfer_syntax_uid: str


def file_meta(data: bytes, *, whole: bool) -> FileMeta | None:
    """Of a file that begins with `data` (PS3.10 7.1), element by element: the length of the group is often wrong.

    None: more bytes are needed; never, if these are the `whole` file or at least :data:`LONGEST_LOOK`. Raises NotAFile.
    """
    whole = whole or len(data) >= LONGEST_LOOK
    if len(data) < 132 and not whole:
        return None
    if data[128:132] != b"DICM":
        raise NotAFile("no DICM after 128 bytes")
    position, values = 132, {}
    while position + 12 <= len(data) and data[position : position + 2] == b"\2\0":
        element, vr, length = struct.unpack_from("<2xH2sH", data, position)
        value = position + 8
        if vr in _LONG_LENGTHS:
            length, value = struct.unpack_from("<L", data, value)[0], value + 4
        values[element] = data[value : value + length].rstrip(b"\0 ")
        position = value + length
    ended = position <= len(data) and data[position : position + 2] != b"\2\0" and (whole or position + 2 <= len(data))
    if not ended and not whole:
        return None
    if not ended or not values:
        raise NotAFile("the File Meta Information does not end")
    return FileMeta(
        length=position, sop_class_uid=values.get(0x0002, b""), sop_instance_uid=values.get(0x0003, b""),
        transfer_syntax_uid=values.get(0x0010, b"").decode("ascii", "replace"),
    )


def misplaced_header(data: bytes) -> tuple[int, str] | None:
    """Length and transfer syntax of a file header that was sent as the beginning of a data set; None without one.

    Senders that hand on a file as it is send preamble and group 0002, or group 0002 alone, where PS3.8 E.2 has a data
    set. data: its first :data:`LONGEST_LOOK` bytes.
    """
    position = 132 if data[128:134] == b"DICM\2\0" else 0
    transfer_syntax_uid = ""
    while data[position : position + 2] == b"\2\0" and position + 12 <= len(data):
        element, vr, length = struct.unpack_from("<2xH2sH", data, position)
        value = position + 8
        if vr in _LONG_LENGTHS:
            length, value = struct.unpack_from("<L", data, position + 8)[0], position + 12
        if element == 0x0010:
            transfer_syntax_uid = data[value : value + length].rstrip(b"\0 ").decode("ascii", "replace")
        position = value + length
    ended = 0 < position < len(data) and data[position : position + 2] != b"\2\0"
    return (position, transfer_syntax_uid) if ended else None
