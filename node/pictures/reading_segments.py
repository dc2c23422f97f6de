"""Segmentations and maps: what lies on which frame of which image, and the picture of it. For the image process alone.

A frame belongs to the one image, and the one frame of it, that it says it was derived from (PS3.3 C.7.6.16.2.6); what
says none, or several, belongs to none. Nothing is ever matched by its place in a list.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from pydicom.uid import ParametricMapStorage

from radnode.node.dicomweb_out.frames import NoPicture, Pixels
from radnode.node.pictures.reading_frames import place

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom import Dataset

LEAST_SHARE = 0.1
"""Of a scale; nothing is drawn below it. A page says so beside the picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What a stored number means. kind: PROBABILITY and OCCUPANCY of a whole (`high`), or VALUE in a unit of UCUM."""

    kind: str
    low: float
    high: float
    unit: str = ""

    def shares(self, values: NDArray[np.generic]) -> NDArray[np.float64]:
        """From 0 at its lower end to 1 at its upper. Raises NoPicture for what is above it."""
        found = (np.asarray(values, dtype=np.float64) - self.low) / (self.high - self.low)
        if found.max() > 1:
            raise NoPicture("the fractions are more than the whole")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    pixels: Pixels
    scale: Scale | None


def index(path: Path) -> dict[str, Any]:
    """`segments`: what each is, `cielab` as PS3.3 C.10.7.1.1 writes it; `frames`: [source SOP Instance UID, source
    frame or 0, segment -> pixels, place as of :func:`reading_frames.place`], the source empty where a frame says none.
    `scale`: of what decides for no pixel, `kind` (PROBABILITY, OCCUPANCY, VALUE), `low`, `high`, `unit`; else None.
    """
    opened = _opened(str(path))
    pixels, dataset = opened.pixels, opened.pixels.dataset
    groups = dataset.PerFrameFunctionalGroupsSequence
    shared = dataset.SharedFunctionalGroupsSequence[0]
    if len(groups) != pixels.frames:
        raise NoPicture("the object describes another number of frames than it has")
    frames = []
    for number, group in enumerate(groups, 1):
        source, source_frame = _source(group, shared)
        segment = _segment(dataset, group, shared)
        if opened.scale is None:
            counts = _counts(pixels.values(number), segment)
        else:
            shares = opened.scale.shares(pixels.values(number))
            counts = {segment: int(np.ceil(shares[shares >= LEAST_SHARE].sum()))}
        frames.append([source, source_frame, counts, place(dataset, number - 1)])
    return {
        "segments": [_described(item) for item in dataset.SegmentSequence if int(item.SegmentNumber)]
        if "SegmentSequence" in dataset else [_map(dataset, shared)],
        "rows": pixels.rows, "columns": pixels.columns, "frames": frames,
        "frame_of_reference": str(dataset.get("FrameOfReferenceUID", "")),
        "scale": asdict(opened.scale) if opened.scale else None,
    }


def overlay(path: Path, frames: list[int], colours: dict[str, list[int]]) -> bytes:
    """A PNG of these frames together, transparent where none of the segments with a colour is; mixed where several.

    What has a scale is the more opaque the higher it is, and transparent below :data:`LEAST_SHARE`.
    """
    opened = _opened(str(path))
    pixels, dataset = opened.pixels, opened.pixels.dataset
    shared = dataset.SharedFunctionalGroupsSequence[0]
    total = np.zeros((pixels.rows, pixels.columns, 3))
    weight, most = np.zeros((pixels.rows, pixels.columns)), np.zeros((pixels.rows, pixels.columns))
    for number in frames:
        values = pixels.values(number)
        segment = _segment(dataset, dataset.PerFrameFunctionalGroupsSequence[number - 1], shared)
        for name, colour in colours.items():
            if segment not in (0, int(name)):
                continue
            if opened.scale is None:
                shares = (values != 0 if segment else values == int(name)).astype(np.float64)
            else:
                shares = opened.scale.shares(values)
                shares[shares < LEAST_SHARE] = 0
            total += shares[..., np.newaxis] * np.array(colour)
            weight += shares
            most = np.maximum(most, shares)
    shown = np.zeros((pixels.rows, pixels.columns, 4), np.uint8)
    inside = weight > 0
    shown[inside, :3] = np.round(total[inside] / weight[inside, np.newaxis])
    shown[..., 3] = np.round(most * 255)
    out = BytesIO()
    Image.fromarray(shown).save(out, format="PNG", compress_level=3)
    return out.getvalue()


@lru_cache(maxsize=1)
def _opened(path: str) -> _Opened:
    """The last one stays: who scrolls asks for the next slice of it. A file under its address never changes."""
    pixels = Pixels(Path(path))
    return _Opened(pixels=pixels, scale=_scale(pixels))


def _scale(pixels: Pixels) -> Scale | None:
    """Raises NoPicture for fractions that do not say of what."""
    dataset = pixels.dataset
    if dataset.SOPClassUID == ParametricMapStorage:
        return _range(pixels)
    if dataset.get("SegmentationType", "LABELMAP") != "FRACTIONAL":
        return None
    kind, most = str(dataset.get("SegmentationFractionalType", "")), int(dataset.get("MaximumFractionalValue", 0) or 0)
    if kind not in ("PROBABILITY", "OCCUPANCY") or not 0 < most <= 255:
        raise NoPicture("the fractions do not say of what they are, or what the whole is")
    return Scale(kind=kind, low=0, high=most)


def _range(pixels: Pixels) -> Scale:
    """Of a map, from its least number to its largest, in the unit that it says; of stored numbers only where they are
    the values themselves.
    """
    shared = pixels.dataset.SharedFunctionalGroupsSequence[0]
    said = _macro(pixels.dataset.PerFrameFunctionalGroupsSequence[0], shared, "RealWorldValueMappingSequence")
    if (float(said.get("RealWorldValueSlope", 0)), float(said.get("RealWorldValueIntercept", 1))) != (1, 0):
        raise NoPicture("a map whose stored numbers are not its values is not drawn")
    ends = []
    for number in range(1, pixels.frames + 1):
        values = np.asarray(pixels.values(number), dtype=np.float64)
        if not np.isfinite(values).all():
            raise NoPicture("the map has values that are no numbers")
        ends += [float(values.min()), float(values.max())]
    if not min(ends) < max(ends):
        raise NoPicture("the map has one value everywhere")
    units = said.get("MeasurementUnitsCodeSequence") or []
    return Scale(kind="VALUE", low=min(ends), high=max(ends), unit=str(units[0].get("CodeValue", "")) if units else "")


def _map(dataset: Dataset, shared: Dataset) -> dict[str, Any]:
    said = _macro(dataset.PerFrameFunctionalGroupsSequence[0], shared, "RealWorldValueMappingSequence")
    label = str(said.get("LUTExplanation") or said.get("LUTLabel") or dataset.get("ContentDescription") or "")
    return {"number": 1, "label": label[:200], "type": "", "side": "", "cielab": None}


def _segment(dataset: Dataset, group: Dataset, shared: Dataset) -> int:
    """Which segment a frame holds; 0 for a label map, which holds all; 1 for a map, which has none."""
    if "SegmentSequence" not in dataset:
        return 1
    if dataset.get("SegmentationType", "LABELMAP") == "LABELMAP":
        return 0
    return int(_macro(group, shared, "SegmentIdentificationSequence").ReferencedSegmentNumber)


def _counts(values: NDArray[np.generic], segment: int) -> dict[int, int]:
    if segment:
        return {segment: int(np.count_nonzero(values))}
    found, counts = np.unique(values, return_counts=True)
    return {int(value): int(count) for value, count in zip(found, counts, strict=True) if value}


def _source(group: Dataset, shared: Dataset) -> tuple[str, int]:
    derivations = group.get("DerivationImageSequence") or shared.get("DerivationImageSequence") or []
    sources = [source for each in derivations for source in each.get("SourceImageSequence", [])]
    if len(sources) != 1:
        return "", 0
    frame = sources[0].get("ReferencedFrameNumber")
    numbers: list[int] = [] if frame is None else [int(each) for each in np.atleast_1d(frame)]
    if len(numbers) > 1:
        return "", 0
    return str(sources[0].get("ReferencedSOPInstanceUID", "")), numbers[0] if numbers else 0


def _macro(group: Dataset, shared: Dataset, keyword: str) -> Dataset:
    found: Dataset = (group if keyword in group else shared)[keyword].value[0]
    return found


def _described(item: Dataset) -> dict[str, Any]:
    number = int(item.SegmentNumber)
    kind = (item.get("SegmentedPropertyTypeCodeSequence") or [None])[0]
    sides = kind.get("SegmentedPropertyTypeModifierCodeSequence", []) if kind is not None else []
    meaning = str(kind.get("CodeMeaning", "")) if kind is not None else ""
    colour = item.get("RecommendedDisplayCIELabValue")
    return {
        "number": number, "label": str(item.get("SegmentLabel") or meaning), "type": meaning,
        "side": str(sides[0].get("CodeMeaning", "")) if sides else "",
        "cielab": [int(each) for each in colour] if colour else None,
    }
