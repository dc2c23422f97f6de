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
    """The Image Pixel module (PS3.3 C.7.6.3). samples: of a pixel, 1 or 3."""

    rows: int
    columns: int
    frames: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    samples: int = 1

    @property
    def frame_bytes(self) -> int:
        """Bytes of one uncompressed frame."""
        return self.rows * self.columns * self.samples * self.bits_allocated // 8


def pixel_format(dataset: Dataset, samples: int = 1) -> PixelFormat:
    """Parse and judge the Image Pixel module. samples: of a pixel. Raises NotProcessed for what is not read here."""
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
        samples=samples,
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
        dataset, syntax = open_pixels(instance, form)
        if syntax in NATIVE:
            found = _native(dataset.PixelData, form, frames, dataset, notes)
        else:
            found = [_compressed(dataset, form, frame, syntax, notes) for frame in frames]
    note_loss(syntax, notes)
    if any("signedness" in str(warning.message) for warning in caught):
        notes.append(
            "A codestream and its header disagree on the sign of pixel values; the header's was used."
        )
    yield from found


def open_pixels(instance: SourceInstance, form: PixelFormat) -> tuple[Dataset, UID]:
    """The whole image and its transfer syntax. Raises as :func:`decode`."""
    dataset = pydicom.dcmread(instance.path)
    syntax = UID(dataset.file_meta.get("TransferSyntaxUID", ""))
    if not dataset.get("PixelData"):
        raise IncompleteInput(f"instance {instance.sop_instance_uid} has no pixel data")
    if syntax in CODECS:
        _check_offsets(dataset, form)
    elif syntax not in NATIVE:
        raise NotProcessed(f"transfer syntax {syntax.name} is not supported")
    return dataset, syntax


def note_loss(syntax: UID, notes: list[str]) -> None:
    """Say that pixels are not those that were taken."""
    if syntax in LOSSY:
        notes.append("The images were compressed with loss; measured values may differ from the original.")


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
    return [_stored_values(stack[frame_index(frame, form, dataset)], form) for frame in frames]


def frame_index(frame: int, form: PixelFormat, dataset: Dataset) -> int:
    """0-based. Raises IncompleteInput for a frame that the image does not have."""
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
    index = frame_index(frame, form, dataset)
    check_codestream(dataset, form, frame, syntax, notes)
    decoded = decode_frame(dataset, index, syntax, raw=True)
    if decoded.shape != (form.rows, form.columns):
        raise IncompleteInput(f"instance {_uid(dataset)}, frame {frame} decodes to {decoded.shape}")
    if CODECS[syntax][0] == "RLE":
        return _stored_values(decoded.view(f"u{decoded.dtype.itemsize}"), form)
    return np.asarray(decoded, np.int64)


def check_codestream(dataset: Dataset, form: PixelFormat, frame: int, syntax: UID, notes: list[str]) -> None:
    """Whether a compressed frame is what its header says. Raises as :func:`decode`."""
    kind = CODECS[syntax][0]
    try:
        codestream = sniff(
            get_frame(dataset.PixelData, frame_index(frame, form, dataset), number_of_frames=form.frames)
        )
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
    if codestream.samples not in (None, form.samples):
        raise NotProcessed(
            f"instance {_uid(dataset)} declares {form.samples} samples a pixel, its codestream {codestream.samples}"
        )
    if codestream.signed is not None and codestream.signed != form.signed:
        notes.append(
            "A codestream and its header disagree on the sign of pixel values; the header's was used."
        )


def decode_frame(dataset: Dataset, index: int, syntax: UID, *, raw: bool) -> NDArray[np.integer]:
    """One frame by the decoder of its transfer syntax; RGB where raw is false. Raises IncompleteInput."""
    plugin = CODECS[syntax][1] if syntax in CODECS else ""
    try:
        decoded, _ = get_decoder(syntax).as_array(dataset, index=index, raw=raw, decoding_plugin=plugin)
    except Exception as error:
        # Decoders raise whatever they like; each of their failures means that this image is not there.
        raise IncompleteInput(
            f"instance {_uid(dataset)}, frame {index + 1} does not decode ({type(error).__name__})"
        ) from error
    return decoded


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
