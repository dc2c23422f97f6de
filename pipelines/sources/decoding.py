"""Stored pixel values of one image, or a typed reason why there are none.

Declared sizes are checked against a budget and against the codestream before a decoder allocates anything.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pydicom
from pydicom.encaps import get_frame, parse_basic_offsets
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from radnode.pipelines.contract import IncompleteInput, NotProcessed
from radnode.pipelines.sources.codestream import CODECS, LOSSY, sniff
from radnode.pipelines.sources.headers import numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from pydicom import Dataset

    from radnode.pipelines.sources.headers import SourceInstance

NATIVE = frozenset({ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian})
# Pixels of one image once decoded: a 2048 x 2048 image of 128 frames at 16 bits.
IMAGE_BUDGET_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelFormat:
    """The Image Pixel module (PS3.3 C.7.6.3) of a grey image."""

    rows: int
    columns: int
    frames: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool

    @property
    def frame_bytes(self) -> int:
        """Bytes of one uncompressed frame."""
        return self.rows * self.columns * self.bits_allocated // 8


def pixel_format(dataset: Dataset) -> PixelFormat:
    """Parse and judge the Image Pixel module. Raises NotProcessed for what is not read here."""
    keywords = ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation")
    values = numbers([dataset.get(keyword) for keyword in keywords], len(keywords))
    frames = numbers(dataset.get("NumberOfFrames") or 1, 1)
    if values is None or frames is None:
        raise NotProcessed(f"instance {_uid(dataset)} does not describe its pixels")
    rows, columns, allocated, stored, high, representation = (int(value) for value in values)
    found = PixelFormat(
        rows=rows,
        columns=columns,
        frames=int(frames[0]),
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high,
        signed=representation == 1,
    )
    if (
        allocated not in (8, 16, 32)
        or not 0 < stored <= high + 1 <= allocated
        or min(rows, columns, found.frames) < 1
    ):
        raise NotProcessed(
            f"instance {_uid(dataset)} has pixels that are not supported ({stored} bits stored below bit "
            f"{high} of {allocated})"
        )
    if found.frame_bytes * found.frames > IMAGE_BUDGET_BYTES:
        raise NotProcessed(
            f"instance {_uid(dataset)} declares {found.frame_bytes * found.frames >> 20} MiB of pixels; "
            f"at most {IMAGE_BUDGET_BYTES / 2**20:.0f} MiB are decoded"
        )
    return found


def decode(instance: SourceInstance, frames: Sequence[int], notes: list[str]) -> Iterator[NDArray[np.integer]]:
    """Stored values of the frames (1-based), each of shape (rows, columns).

    notes: gets a sentence for what was odd but readable. Raises IncompleteInput for pixels that are short or
    do not decode, NotProcessed for a transfer syntax or a format that is not read here.
    """
    form = pixel_format(instance.dataset)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dataset = pydicom.dcmread(instance.path)
        syntax = UID(dataset.file_meta.get("TransferSyntaxUID", ""))
        data = dataset.get("PixelData")
        if not data:
            raise IncompleteInput(f"instance {instance.sop_instance_uid} has no pixel data")
        if syntax in NATIVE:
            found = _native(data, form, frames, dataset, notes)
        elif syntax in CODECS:
            _check_offsets(dataset, form)
            found = [_compressed(dataset, form, frame, syntax, notes) for frame in frames]
        else:
            raise NotProcessed(f"transfer syntax {syntax.name} is not supported")
    if syntax in LOSSY:
        notes.append("The images were compressed with loss; measured values may differ from the original.")
    if any("signedness" in str(warning.message) for warning in caught):
        notes.append(
            "A codestream and its header disagree on the sign of pixel values; the header's was used."
        )
    yield from found


def _uid(dataset: Dataset) -> str:
    return str(dataset.get("SOPInstanceUID", "without UID"))


def _native(
    data: bytes, form: PixelFormat, frames: Sequence[int], dataset: Dataset, notes: list[str]
) -> list[NDArray[np.integer]]:
    expected = form.frame_bytes * form.frames
    if len(data) < expected:
        raise IncompleteInput(
            f"instance {_uid(dataset)}: pixel data incomplete, {len(data)} of {expected} bytes"
        )
    if len(data) > expected + 1:  # one byte pads to even length, PS3.5 7.1.1
        notes.append("Some images have more pixel data than they declare; the rest was not read.")
    order = "<" if dataset.file_meta.TransferSyntaxUID != ExplicitVRBigEndian else ">"
    words = np.frombuffer(
        data, dtype=f"{order}u{form.bits_allocated // 8}", count=expected * 8 // form.bits_allocated
    )
    stack = words.reshape(form.frames, form.rows, form.columns)
    return [_stored_values(stack[_checked(frame, form, dataset)], form) for frame in frames]


def _checked(frame: int, form: PixelFormat, dataset: Dataset) -> int:
    if not 1 <= frame <= form.frames:
        raise IncompleteInput(f"instance {_uid(dataset)} has {form.frames} frames, not {frame}")
    return frame - 1


def _check_offsets(dataset: Dataset, form: PixelFormat) -> None:
    """Offset tables, where there are any, name one place for each frame, in their order (PS3.5 A.4, PS3.3 C.7.6.3.1.8).

    Any other table shows frames as each other's.
    """
    basic = parse_basic_offsets(dataset.PixelData)
    extended = np.frombuffer(dataset.get("ExtendedOffsetTable") or b"", "<u8").tolist()
    for table in (basic, extended):
        if table and (len(table) != form.frames or table[0] != 0 or any(a >= b for a, b in pairwise(table))):
            raise IncompleteInput(f"instance {_uid(dataset)} has a table of frame offsets that cannot be true")


def _compressed(
    dataset: Dataset, form: PixelFormat, frame: int, syntax: UID, notes: list[str]
) -> NDArray[np.integer]:
    index = _checked(frame, form, dataset)
    kind, plugin = CODECS[syntax]
    try:
        codestream = sniff(get_frame(dataset.PixelData, index, number_of_frames=form.frames))
    except (ValueError, EOFError) as error:
        raise IncompleteInput(f"instance {_uid(dataset)}, frame {frame} does not decode: {error}") from error
    if codestream.kind != kind:
        raise NotProcessed(
            f"instance {_uid(dataset)} says {syntax.name}, but its pixels are {codestream.kind}; "
            "the sender has to correct the transfer syntax"
        )
    if codestream.rows is not None and (codestream.rows, codestream.columns) != (form.rows, form.columns):
        raise NotProcessed(
            f"instance {_uid(dataset)} declares {form.columns}x{form.rows} pixels, its codestream "
            f"{codestream.columns}x{codestream.rows}"
        )
    if codestream.signed is not None and codestream.signed != form.signed:
        notes.append(
            "A codestream and its header disagree on the sign of pixel values; the header's was used."
        )
    try:
        decoded, _ = get_decoder(syntax).as_array(dataset, index=index, raw=True, decoding_plugin=plugin)
    except Exception as error:
        # Decoders raise whatever they like; each of their failures means that this image is not there.
        raise IncompleteInput(
            f"instance {_uid(dataset)}, frame {frame} does not decode ({type(error).__name__})"
        ) from error
    if decoded.shape != (form.rows, form.columns):
        raise IncompleteInput(f"instance {_uid(dataset)}, frame {frame} decodes to {decoded.shape}")
    if kind == "RLE":
        return _stored_values(decoded.view(f"u{decoded.dtype.itemsize}"), form)
    return np.asarray(decoded, np.int64)


def _stored_values(words: NDArray[np.unsignedinteger], form: PixelFormat) -> NDArray[np.integer]:
    """Bits Stored below High Bit, sign-extended; overlays once lived in the other bits (PS3.5 8.1.1).

    Stays in the width of the file: a series has a hundred million pixels, and each widening copies them.
    """
    values: NDArray[np.integer] = words.astype(words.dtype.newbyteorder("="), copy=False)
    if shift := form.high_bit + 1 - form.bits_stored:
        values = values >> shift
    if form.bits_stored < form.bits_allocated:
        values = values & ((1 << form.bits_stored) - 1)
    if not form.signed:
        return values
    values = values.view(f"i{values.dtype.itemsize}")
    if form.bits_stored == form.bits_allocated:
        return values
    sign = 1 << (form.bits_stored - 1)
    return (values ^ sign) - sign
