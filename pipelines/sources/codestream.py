"""The first bytes of a compressed frame: what it is and how large it says it is, before any decoder runs.

A decoder allocates what the codestream says, not what the header says (a 1.5 kB JPEG 2000 frame can ask for
256 MB), and a mislabelled frame must not reach the wrong decoder.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

# Transfer syntax -> (kind of codestream, the pydicom plugin that decodes it).
CODECS = {
    RLELossless: ("RLE", "pylibjpeg"),
    JPEGLSLossless: ("JPEG-LS", "pyjpegls"),
    JPEGLSNearLossless: ("JPEG-LS", "pyjpegls"),
    JPEG2000Lossless: ("JPEG 2000", "pylibjpeg"),
    JPEG2000: ("JPEG 2000", "pylibjpeg"),
    HTJ2KLossless: ("JPEG 2000", "pylibjpeg"),
    HTJ2KLosslessRPCL: ("JPEG 2000", "pylibjpeg"),
    HTJ2K: ("JPEG 2000", "pylibjpeg"),
    JPEGLossless: ("JPEG lossless", "gdcm"),
    JPEGLosslessSV1: ("JPEG lossless", "gdcm"),
    JPEGBaseline8Bit: ("JPEG", "gdcm"),
    JPEGExtended12Bit: ("JPEG", "gdcm"),
}
LOSSY = frozenset({JPEGLSNearLossless, JPEG2000, HTJ2K, JPEGBaseline8Bit, JPEGExtended12Bit})

# ISO/IEC 10918-1 table B.1 (SOF), 14495-1 table C.1 (SOF55), 15444-1 table A.1 (SOC, SIZ).
_FRAME_HEADERS = {0xC0: "JPEG", 0xC1: "JPEG", 0xC2: "JPEG", 0xC3: "JPEG lossless", 0xF7: "JPEG-LS"}
_JPEG_START, _J2K_START, _JP2_BOX = b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  "
_ALONE = {0x01, *range(0xD0, 0xD9)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Codestream:
    """What a codestream says of itself; all but the kind are None where the kind does not say. samples: of a pixel."""

    kind: str
    rows: int | None = None
    columns: int | None = None
    signed: bool | None = None
    samples: int | None = None


def sniff(data: bytes) -> Codestream:
    """Recognise a codestream by its magic. Raises ValueError if it is none that is known, or cut short."""
    try:
        if data.startswith(_JPEG_START):
            return _jpeg(data)
        if data.startswith(_J2K_START):
            return _jpeg_2000(data)
        if data.startswith(_JP2_BOX):
            start = data.find(_J2K_START)
            if start < 0:
                raise ValueError("a JP2 file without a codestream")
            return _jpeg_2000(data[start:])
        return _rle(data)
    except struct.error as error:
        raise ValueError("the codestream is cut short") from error


def _jpeg(data: bytes) -> Codestream:
    offset = 2
    while True:
        prefix, marker = struct.unpack_from(">BB", data, offset)
        if prefix != 0xFF:
            raise ValueError("a broken JPEG header")
        if marker in _FRAME_HEADERS:
            rows, columns, samples = struct.unpack_from(">HHB", data, offset + 5)
            return Codestream(kind=_FRAME_HEADERS[marker], rows=rows, columns=columns, samples=samples)
        if marker == 0xFF:  # fill byte
            offset += 1
        elif marker in _ALONE:
            offset += 2
        else:
            offset += 2 + int(struct.unpack_from(">H", data, offset + 2)[0])


def _jpeg_2000(data: bytes) -> Codestream:
    right, bottom, left, top = struct.unpack_from(">IIII", data, 8)
    samples, depth = struct.unpack_from(">HB", data, 40)
    return Codestream(kind="JPEG 2000", rows=bottom - top, columns=right - left, signed=bool(depth & 0x80),
                      samples=samples)


def _rle(data: bytes) -> Codestream:
    """PS3.5 G.5: number of segments, then their offsets, the first of them behind this header of 64 bytes."""
    segments, first = struct.unpack_from("<II", data, 0)
    if len(data) > 64 and 1 <= segments <= 15 and first == 64:
        return Codestream(kind="RLE")
    raise ValueError("no codestream that is known")
