"""What a client accepts and which of it is given (RFC 9110 12.5.1, PS3.18 8.7). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST = 4096
AS_STORED = "*"
UNCOMPRESSED = frozenset(
    {ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian}
)
FRAME_TYPES = {
    JPEGBaseline8Bit: "image/jpeg", JPEGExtended12Bit: "image/jpeg", JPEGLossless: "image/jpeg",
    JPEGLosslessSV1: "image/jpeg", RLELossless: "image/dicom-rle", JPEGLSLossless: "image/jls",
    JPEGLSNearLossless: "image/jls", JPEG2000Lossless: "image/jp2", JPEG2000: "image/jp2",
    HTJ2KLossless: "image/jphc", HTJ2KLosslessRPCL: "image/jphc", HTJ2K: "image/jphc",
}
"""PS3.18 table 8.7.3-5: what a compressed frame is as it is stored."""
_REWRITTEN = (UNCOMPRESSED | FRAME_TYPES.keys()) - {ExplicitVRBigEndian}
_RANGE = re.compile(r'(?:[^,"]|"[^"]*")+')
_PARAMETER = re.compile(r';\s*([\w-]+)\s*=\s*(?:"([^"]*)"|([^\s;"]+))')


class NotAcceptable(Exception):
    """Nothing that is accepted can be given; the message says what can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """One media range. multipart: in a multipart/related. transfer_syntax: a UID, "*", or None where none is said."""

    type: str
    multipart: bool = False
    transfer_syntax: str | None = None
    quality: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What is given: its media type, whether in parts, and whether as it is stored."""

    type: str
    multipart: bool
    stored: bool


def accepted(header: str) -> list[Accepted]:
    """The ranges of an Accept header, best first; what has q=0 is left out. An empty header accepts everything.

    Raises NotAcceptable for a header longer than :data:`LONGEST`.
    """
    if len(header) > LONGEST:
        raise NotAcceptable("the Accept header is too long")
    ranges = [each for text in _RANGE.findall(header or "*/*") if (each := _range(text.strip()))]
    return sorted((each for each in ranges if each.quality > 0), key=lambda each: (-each.quality, _breadth(each.type)))


def choose(ranges: Sequence[Accepted], offered: Sequence[str]) -> str:
    """The first offered media type of the best range, not in parts. Raises NotAcceptable."""
    for each in ranges:
        for kind in offered:
            if not each.multipart and _covers(each.type, kind):
                return kind
    raise NotAcceptable(f"given are {', '.join(offered)}")


def choose_instances(ranges: Sequence[Accepted], syntaxes: set[str], *, single: bool) -> Given:
    """How whole instances are given (PS3.18 8.7.3.5.1): without a transfer syntax in Explicit VR Little Endian.

    syntaxes: those the instances are stored in. single: there is one instance, which need not be in parts.
    """
    for each in ranges:
        if not _covers(each.type, "application/dicom") or not (each.multipart or single or each.type == "*/*"):
            continue
        wanted = each.transfer_syntax or ExplicitVRLittleEndian
        multipart = each.multipart or each.type == "*/*"
        if wanted == AS_STORED or syntaxes <= {wanted}:
            return Given(type="application/dicom", multipart=multipart, stored=True)
        if wanted == ExplicitVRLittleEndian and syntaxes <= _REWRITTEN:
            return Given(type="application/dicom", multipart=multipart, stored=False)
    raise NotAcceptable(
        f"given is application/dicom in {ExplicitVRLittleEndian} or as it is stored: transfer-syntax=*"
    )


def choose_frames(ranges: Sequence[Accepted], stored_in: str, *, single: bool) -> Given:
    """How frames of an image are given (PS3.18 8.7.3.3): uncompressed, or as they are stored.

    stored_in: the transfer syntax of the image. single: one frame, which need not be in parts.
    """
    compressed = FRAME_TYPES.get(stored_in)  # type: ignore[call-overload]
    known = compressed is not None or stored_in in UNCOMPRESSED
    for each in ranges:
        multipart = each.multipart or each.type == "*/*"
        if not multipart and not single:
            continue
        wanted = each.transfer_syntax
        if _covers(each.type, "application/octet-stream"):
            if wanted in (AS_STORED, stored_in) and stored_in not in UNCOMPRESSED:
                return Given(type="application/octet-stream", multipart=multipart, stored=True)
            if known and (wanted in (None, AS_STORED) or wanted in UNCOMPRESSED):
                return Given(type="application/octet-stream", multipart=multipart, stored=False)
        if compressed and _covers(each.type, compressed) and wanted in (None, AS_STORED, stored_in):
            return Given(type=compressed, multipart=multipart, stored=True)
    raise NotAcceptable(
        "given is application/octet-stream, uncompressed"
        + (f", or as it is stored: {compressed or 'application/octet-stream'}; transfer-syntax={stored_in}"
           if stored_in not in UNCOMPRESSED else "")
    )


def _range(text: str) -> Accepted | None:
    kind, _, _ = text.partition(";")
    parameters = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(text)}
    kind = kind.strip().lower()
    multipart = kind == "multipart/related"
    if multipart:
        kind = parameters.get("type", "*/*").lower()
    if kind.count("/") != 1:
        return None
    try:
        quality = float(parameters.get("q", 1))
    except ValueError:
        return None
    return Accepted(
        type=kind, multipart=multipart, transfer_syntax=parameters.get("transfer-syntax"),
        quality=quality if 0 <= quality <= 1 else 0.0,
    )


def _breadth(kind: str) -> int:
    """How many stars: what is named more closely is meant more."""
    return kind.count("*")


def _covers(accepted_type: str, kind: str) -> bool:
    return accepted_type in ("*/*", kind, f"{kind.partition('/')[0]}/*")
