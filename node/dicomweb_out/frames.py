"""Frames of an image: as they are stored, decoded, or as a picture. For the image process alone."""

from __future__ import annotations

from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pydicom
from PIL import Image
from pydicom import Dataset
from pydicom.encaps import get_frame, parse_basic_offsets
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut, convert_color_space
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian

from radnode.pipelines.sources.codestream import CODECS, sniff
from radnode.pipelines.sources.decoding import IMAGE_BUDGET_BYTES, NATIVE, decode_frame

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom.dataset import FileDataset

_UNCOMPRESSED = NATIVE | {DeflatedExplicitVRLittleEndian}
_REWRITTEN = (_UNCOMPRESSED | CODECS.keys()) - {ExplicitVRBigEndian}
"""In big endian any binary value may hold words; which of them do is not written in the file."""
_SHOWN_BY = frozenset({
    "RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence", "WindowCenter", "WindowWidth",
    "VOILUTFunction", "VOILUTSequence", "BitsStored", "BitsAllocated", "PixelRepresentation",
    "PhotometricInterpretation",
})
_WORDS = {"PixelData": "u", "FloatPixelData": "f", "DoubleFloatPixelData": "f"}


class NoPicture(Exception):
    """The pixels cannot be given in this way; the message says why, in our words alone."""


class Pixels:
    """The pixels of one file. Raises :class:`NoPicture` where it has none, or says of them what cannot be."""

    def __init__(self, path: Path) -> None:
        self.dataset: FileDataset = pydicom.dcmread(path)
        self.syntax = UID(self.dataset.file_meta.get("TransferSyntaxUID", ""))
        self._element = next((name for name in _WORDS if self.dataset.get(name)), "")
        if not self._element:
            raise NoPicture("the instance has no pixels")
        self.rows, self.columns = int(self.dataset.get("Rows", 0)), int(self.dataset.get("Columns", 0))
        self.samples, self.bits = int(self.dataset.get("SamplesPerPixel", 1)), int(self.dataset.get("BitsAllocated", 0))
        self.frames = int(self.dataset.get("NumberOfFrames") or 1)
        if min(self.rows, self.columns, self.frames) < 1 or self.samples not in (1, 3) or self.bits not in (
            1, 8, 16, 32, 64
        ):
            raise NoPicture("the instance does not say what its pixels are")
        if self.frame_bits // 8 > IMAGE_BUDGET_BYTES:
            raise NoPicture("a frame of the instance is larger than what is decoded here")

    @property
    def frame_bits(self) -> int:
        """Bits of one uncompressed frame."""
        return self.rows * self.columns * self.samples * self.bits

    def stored(self, number: int) -> bytes:
        """The codestream of a compressed frame, from 1. Raises NoPicture."""
        self._check(number)
        if self.syntax in _UNCOMPRESSED:
            raise NoPicture("the pixels are not compressed")
        try:
            return self._codestream(number)
        except (ValueError, EOFError) as error:
            raise NoPicture("the pixels are not those of a compressed image") from error

    def native(self, number: int) -> bytes:
        """The uncompressed bytes of a frame, from 1: little endian, samples of a pixel together. Raises NoPicture."""
        if self.bits == 1:
            return np.packbits(self.values(number).astype(bool).ravel(), bitorder="little").tobytes()
        values = self.values(number)
        return np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).tobytes()

    def values(self, number: int) -> NDArray[np.generic]:
        """Of a frame, from 1: (rows, columns) or (rows, columns, 3), colours as they are encoded. Raises NoPicture."""
        self._check(number)
        if self.syntax in _UNCOMPRESSED:
            return self._uncompressed(number)
        if self.syntax not in CODECS:
            raise NoPicture(f"{self.syntax.name} is not decoded here")
        if sniff(self.stored(number)).kind != CODECS[self.syntax][0]:
            raise NoPicture(f"the pixels are not {self.syntax.name}, as the header says")
        decoded = decode_frame(self.dataset, number - 1, self.syntax, raw=True)
        if decoded.shape[:2] != (self.rows, self.columns):
            raise NoPicture("the pixels have another size than the header says")
        kind = "i" if self.dataset.get("PixelRepresentation") == 1 else "u"
        return np.asarray(decoded).astype(f"{kind}{self.bits // 8}", copy=False)

    def _check(self, number: int) -> None:
        if not 1 <= number <= self.frames:
            raise NoPicture(f"the instance has {self.frames} frames, not {number}")

    def _codestream(self, number: int) -> bytes:
        """Of a table that cannot be true a frame would be another's (PS3.5 A.4)."""
        table = parse_basic_offsets(self.dataset.PixelData)
        if table and (len(table) != self.frames or table[0] != 0 or any(a >= b for a, b in pairwise(table))):
            raise ValueError("offsets")
        return get_frame(self.dataset.PixelData, number - 1, number_of_frames=self.frames)

    def _uncompressed(self, number: int) -> NDArray[np.generic]:
        data: bytes = self.dataset[self._element].value
        first, after = (number - 1) * self.frame_bits, number * self.frame_bits
        if after > len(data) * 8:
            raise NoPicture("the pixels are fewer than the header says")
        shape = (self.rows, self.columns, self.samples) if self.samples == 3 else (self.rows, self.columns)
        if self.bits == 1:
            bits = np.unpackbits(
                np.frombuffer(data[first // 8 : -(-after // 8)], np.uint8), bitorder="little"
            )
            return bits[first % 8 : first % 8 + self.frame_bits].reshape(shape)
        order = ">" if self.syntax == ExplicitVRBigEndian else "<"
        kind = _WORDS[self._element]
        if kind == "u" and self.dataset.get("PixelRepresentation") == 1:
            kind = "i"
        values = np.frombuffer(data[first // 8 : after // 8], f"{order}{kind}{self.bits // 8}")
        if self.samples == 3 and self.dataset.get("PlanarConfiguration") == 1:
            return np.moveaxis(values.reshape(3, self.rows, self.columns), 0, -1)
        return values.reshape(shape)


def picture(
    path: Path, frame: int, *, window: Sequence[float] | None, size: Sequence[int] | None, kind: str, quality: int
) -> bytes:
    """A frame as a reader sees it (PS3.18 8.3.5.1): `kind` is PNG or JPEG.

    window: centre and width, else that of the header, else all values. size: the largest width and height, None the
    image's own. Raises NoPicture.
    """
    pixels = Pixels(path)
    image = Image.fromarray(_shown(pixels, frame, window))
    if size is not None:
        image.thumbnail((size[0], size[1]))
    out = BytesIO()
    image.save(out, format=kind, **({"quality": quality} if kind == "JPEG" else {}))
    return out.getvalue()


def presentation(dataset: Dataset, frame: int) -> Dataset:
    """How the values of a frame, from 1, become grey: its own functional groups go before the image's attributes.

    Enhanced images have the transformation of values and the window there, and nowhere else (PS3.3 C.7.6.16.2.9, .10).
    """
    found = Dataset()
    for keyword in _SHOWN_BY:
        if keyword in dataset:
            found[keyword] = dataset[keyword]
    shared, own = (dataset.get(f"{kind}FunctionalGroupsSequence") for kind in ("Shared", "PerFrame"))
    for group in (*(shared or [])[:1], *(own or [])[frame - 1 : frame]):
        for macro in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            for item in group.get(macro) or []:
                found.update({element.tag: element for element in item if element.keyword in _SHOWN_BY})
    return found


def _shown(pixels: Pixels, frame: int, window: Sequence[float] | None) -> NDArray[np.uint8]:
    values = pixels.values(frame)
    photometric = str(pixels.dataset.get("PhotometricInterpretation", "MONOCHROME2"))
    if photometric == "PALETTE COLOR":
        return _eight_bits(apply_color_lut(values, pixels.dataset))
    if pixels.samples == 3:
        if photometric.startswith("YBR_FULL"):
            values = convert_color_space(values, photometric.replace("_422", ""), "RGB")
        return _eight_bits(values)
    grey = _windowed(presentation(pixels.dataset, frame), values, window)
    return 255 - grey if photometric == "MONOCHROME1" else grey


def _windowed(dataset: Dataset, values: NDArray[np.generic], window: Sequence[float] | None) -> NDArray[np.uint8]:
    """The linear function of PS3.3 C.11.2.1.2.1 for a given window; a table of the header where there is none."""
    rescaled = np.asarray(apply_modality_lut(values, dataset), dtype=np.float64)
    if window is not None:
        center, width = window
        return _stretched(rescaled, center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2)
    if "WindowCenter" in dataset or "VOILUTSequence" in dataset:
        rescaled = np.asarray(apply_voi_lut(apply_modality_lut(values, dataset), dataset), dtype=np.float64)
        if "VOILUTSequence" not in dataset:
            return _stretched(rescaled, *_range(dataset, rescaled))
    finite = rescaled[np.isfinite(rescaled)]
    return _stretched(rescaled, float(finite.min()), float(finite.max())) if finite.size else np.zeros(
        rescaled.shape, np.uint8
    )


def _range(dataset: Dataset, windowed: NDArray[np.float64]) -> tuple[float, float]:
    """What apply_voi_lut maps the window onto: all values that bits stored and the rescaling can make."""
    stored = int(dataset.get("BitsStored", dataset.get("BitsAllocated", 16)))
    low, high = (-(2 ** (stored - 1)), 2 ** (stored - 1) - 1) if dataset.get("PixelRepresentation") == 1 else (
        0, 2**stored - 1)
    slope, intercept = (float(dataset.get(name, default) or default)
                        for name, default in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0)))
    ends = sorted((low * slope + intercept, high * slope + intercept))
    return min(ends[0], float(windowed.min())), max(ends[1], float(windowed.max()))


def _stretched(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.uint8]:
    share = np.clip((np.nan_to_num(values, nan=low) - low) / max(high - low, 1e-9), 0, 1)
    return np.rint(share * 255).astype(np.uint8)


def _eight_bits(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    array = np.asarray(values)
    return array.astype(np.uint8) if array.dtype.itemsize == 1 else (array >> (8 * (array.dtype.itemsize - 1))).astype(
        np.uint8
    )


def rewrite(path: Path, target: Path) -> None:
    """The whole file in Explicit VR Little Endian, uncompressed. Raises NoPicture."""
    dataset = pydicom.dcmread(path)
    syntax = UID(dataset.file_meta.get("TransferSyntaxUID", ""))
    if syntax not in _REWRITTEN:
        raise NoPicture(f"{syntax.name} is not rewritten here")
    if syntax in CODECS:
        dataset.decompress(decoding_plugin=CODECS[syntax][1], as_rgb=False, generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(target, implicit_vr=False, little_endian=True, enforce_file_format=True)
