"""Segmentations: what lies on which frame of which image, and the picture of it. For the image process alone.

A frame belongs to the one image, and the one frame of it, that it says it was derived from (PS3.3 C.7.6.16.2.6); what
says none, or several, belongs to none. Nothing is ever matched by its place in a list.
"""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from radnode.node.dicomweb_out.frames import NoPicture, Pixels
from radnode.node.pictures.reading_frames import place

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom import Dataset


def index(path: Path) -> dict[str, Any]:
    """`segments`: what each is, `cielab` as PS3.3 C.10.7.1.1 writes it; `frames`: [source SOP Instance UID, source
    frame or 0, segment -> pixels, place as of :func:`reading_frames.place`], the source empty where a frame says none.

    Raises NoPicture for fractions, which decide for no pixel.
    """
    pixels = _opened(str(path))
    dataset = pixels.dataset
    if dataset.get("SegmentationType", "LABELMAP") == "FRACTIONAL":
        raise NoPicture("shares of pixels (a FRACTIONAL segmentation) are not drawn")
    groups = dataset.PerFrameFunctionalGroupsSequence
    shared = dataset.SharedFunctionalGroupsSequence[0]
    if len(groups) != pixels.frames:
        raise NoPicture("the segmentation describes another number of frames than it has")
    frames = []
    for number, group in enumerate(groups, 1):
        source, source_frame = _source(group, shared)
        counts = _counts(pixels.values(number), _segment(dataset, group, shared))
        frames.append([source, source_frame, counts, place(dataset, number - 1)])
    return {
        "segments": [_described(item) for item in dataset.SegmentSequence if int(item.SegmentNumber)],
        "rows": pixels.rows, "columns": pixels.columns, "frames": frames,
        "frame_of_reference": str(dataset.get("FrameOfReferenceUID", "")),
    }


def overlay(path: Path, frames: list[int], colours: dict[str, list[int]]) -> bytes:
    """A PNG of these frames together, transparent where none of the segments with a colour is; mixed where several."""
    pixels = _opened(str(path))
    dataset = pixels.dataset
    shared = dataset.SharedFunctionalGroupsSequence[0]
    total = np.zeros((pixels.rows, pixels.columns, 3), np.uint32)
    layers = np.zeros((pixels.rows, pixels.columns), np.uint32)
    for number in frames:
        values = pixels.values(number)
        segment = _segment(dataset, dataset.PerFrameFunctionalGroupsSequence[number - 1], shared)
        for name, colour in colours.items():
            if segment not in (0, int(name)):
                continue
            mask = values != 0 if segment else values == int(name)
            total[mask] += np.array(colour, np.uint32)
            layers += mask
    shown = np.zeros((pixels.rows, pixels.columns, 4), np.uint8)
    inside = layers > 0
    shown[inside, :3] = total[inside] // layers[inside, np.newaxis]
    shown[inside, 3] = 255
    out = BytesIO()
    Image.fromarray(shown).save(out, format="PNG", compress_level=3)
    return out.getvalue()


@lru_cache(maxsize=1)
def _opened(path: str) -> Pixels:
    """The last one stays: who scrolls asks for the next slice of it. A file under its address never changes."""
    return Pixels(Path(path))


def _segment(dataset: Dataset, group: Dataset, shared: Dataset) -> int:
    """Which segment a frame holds; 0 for a label map, which holds all."""
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
