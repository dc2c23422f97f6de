"""RT Structure Sets: which contours lie on which picture, and the drawing of them. For the image process alone.

A contour is on the picture that it names (Contour Image Sequence, PS3.3 C.8.8.6) and in whose plane all its points lie.
One that names none is on a slice in whose plane it lies, if the set names this slice as one that it was drawn on. What
is said in another frame of reference is on none.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom

from radnode.node.dicomweb_out.frames import NoPicture
from radnode.node.pictures.planes import Plane
from radnode.node.pictures.readings import PALETTE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from pydicom import Dataset

MOST_STRUCTURES = 500
MOST_CONTOURS = 100_000
MOST_POINTS = 2_000_000
OFF_MM = 0.1
"""So far a point may lie off the plane of its picture: what writers lose by rounding."""
_NUMBERS = re.compile(rb"[-+.0-9eE \\]*")
_CLOSED = frozenset({"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"})
_DRAWN = _CLOSED | {"OPEN_PLANAR", "POINT"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contour:
    """points: (n, 3), LPS mm. images: SOP Instance UID and frame, or 0, of those that it names."""

    structure: int
    kind: str
    points: NDArray[np.float64]
    images: tuple[tuple[str, int], ...]
    frame_of_reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureSet:
    """planning: SOP Instance UIDs of the images that the set says it was drawn on."""

    structures: tuple[dict[str, Any], ...]
    contours: tuple[Contour, ...]
    planning: frozenset[str]


Picture = tuple[str, int, str, dict[str, Any]]
"""SOP Instance UID, frame or 0, Frame of Reference UID, fields of its :class:`Plane`."""


def index(path: Path, pictures: Sequence[Picture]) -> dict[str, Any]:
    """`structures`: number, label, type, side, colour; `on`: for each picture, structure -> points.

    How many contours are on none of them, by why: `elsewhere` they name other images; `displaced` they do not lie in
    the plane of the picture that they name; `foreign` they name it and are said in another frame of reference. Raises
    NoPicture for a set that is not sound.
    """
    found = _opened(str(path))
    at = {(uid, frame): number for number, (uid, frame, _, _) in enumerate(pictures)}
    planes = [Plane(**plane) for *_, plane in pictures]
    slices = [number for number, (uid, *_) in enumerate(pictures) if uid in found.planning]
    on: list[Counter[int]] = [Counter() for _ in pictures]
    counts = {"elsewhere": 0, "displaced": 0, "foreign": 0}
    for each in found.contours:
        named = _named(each, at)
        here = [number for number in (named if each.images else _near(each, slices, planes))
                if each.frame_of_reference and pictures[number][2] == each.frame_of_reference]
        lying = [number for number in here if _pixels(each, planes[number]) is not None]
        for number in lying:
            on[number][each.structure] += len(each.points)
        if not lying:
            counts["elsewhere" if not named else "displaced" if here else "foreign"] += 1
    return {"structures": list(found.structures), "on": [dict(each) for each in on], **counts}


def drawing(path: Path, picture: Picture, structures: Sequence[int]) -> bytes:
    """An SVG of these structures on one picture, in its pixels; empty where none is."""
    found = _opened(str(path))
    uid, frame, frame_of_reference, fields = picture
    plane = Plane(**fields)
    colours = {each["number"]: each["colour"] for each in found.structures}
    lines: list[tuple[int, str]] = []
    for each in found.contours:
        is_here = _named(each, {(uid, frame): 0}) if each.images else uid in found.planning
        is_said_here = each.frame_of_reference and each.frame_of_reference == frame_of_reference
        if not is_here or not is_said_here or each.structure not in structures:
            continue
        pixels = _pixels(each, plane)
        if pixels is not None:
            lines.append((each.structure, _line(each.kind, pixels, max(plane.rows, plane.columns) / 60)))
    strokes = [_stroke(line, "#000", 4) for _, line in lines]
    strokes += [_stroke(line, f"rgb({','.join(map(str, colours[number]))})", 2) for number, line in lines]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{plane.columns}" height="{plane.rows}" '
        f'viewBox="0 0 {plane.columns} {plane.rows}" preserveAspectRatio="none" fill="none" stroke-linejoin="round">'
        f'{"".join(strokes)}</svg>'
    ).encode()


def _stroke(line: str, colour: str, width: int) -> str:
    return f'<path d="{line}" stroke="{colour}" stroke-width="{width}" vector-effect="non-scaling-stroke"/>'


def _named(contour: Contour, at: Mapping[tuple[str, int], int]) -> list[int]:
    found = (at.get((uid, frame), at.get((uid, 0)) if frame == 1 else None) for uid, frame in contour.images)
    return [each for each in dict.fromkeys(found) if each is not None]


def _near(contour: Contour, numbers: Sequence[int], planes: Sequence[Plane]) -> list[int]:
    """Of these, the planes that its first point lies in."""
    first = contour.points[0]
    return [each for each in numbers
            if abs(float((first - np.array(planes[each].position)) @ planes[each].normal)) <= OFF_MM]


def _pixels(contour: Contour, plane: Plane) -> NDArray[np.float64] | None:
    """(n, 2) pixel coordinates; None where a point lies off the plane, or all of them beside the picture."""
    if contour.kind not in _DRAWN:
        return None
    pixels, off = plane.pixels(contour.points)
    inside = ((pixels >= 0) & (pixels <= [plane.columns, plane.rows])).all(axis=1)
    return pixels if bool((np.abs(off) <= OFF_MM).all() and inside.any()) else None


def _line(kind: str, pixels: NDArray[np.float64], arm: float) -> str:
    points = [(round(x, 3), round(y, 3)) for x, y in pixels.tolist()]
    if kind == "POINT":
        return "".join(f"M{x - arm:g} {y:g}h{2 * arm:g}M{x:g} {y - arm:g}v{2 * arm:g}" for x, y in points)
    ends = [*points[1:], *(points[:1] if kind in _CLOSED else [])]
    edges = [(a, b) for a, b in zip(points, ends, strict=False) if a != b]
    times = Counter(frozenset(edge) for edge in edges)
    # A cut that leads to a hole and back (a keyhole, PS3.3 C.8.8.6.3) is no outline of anything.
    drawn = [edge for edge in edges if times[frozenset(edge)] % 2]
    path, last = [], None
    for a, b in drawn:
        path.append(("" if a == last else f"M{a[0]:g} {a[1]:g}") + f"L{b[0]:g} {b[1]:g}")
        last = b
    return "".join(path)


@lru_cache(maxsize=1)
def _opened(path: str) -> StructureSet:
    """The last one stays: who scrolls asks for the next slice of it. A file under its address never changes."""
    dataset = pydicom.dcmread(Path(path), stop_before_pixels=True)
    regions = {int(each.ROINumber): each for each in dataset.get("StructureSetROISequence") or []}
    drawn = list(dataset.get("ROIContourSequence") or [])
    if max(len(regions), len(drawn)) > MOST_STRUCTURES:
        raise NoPicture(f"the structure set has more than {MOST_STRUCTURES} structures")
    if min(regions, default=0) < 0:
        raise NoPicture("the structure set numbers a structure below 0")
    observed = {int(each.ReferencedROINumber): each for each in dataset.get("RTROIObservationsSequence") or []
                if each.get("ReferencedROINumber") is not None}
    colours = {int(each.ReferencedROINumber): each.get("ROIDisplayColor") for each in drawn}
    if len(colours) != len(drawn) or colours.keys() - regions.keys():
        raise NoPicture("the structure set draws a structure twice, or one that it does not name")
    contours = tuple(_contours(drawn, regions))
    return StructureSet(
        structures=tuple(_described(number, each, observed.get(number, pydicom.Dataset()), colours.get(number))
                         for number, each in regions.items()),
        contours=contours, planning=frozenset(_planning(dataset)),
    )


def _contours(drawn: Sequence[Dataset], regions: Mapping[int, Dataset]) -> Iterator[Contour]:
    points = number = 0
    for structure in drawn:
        of = int(structure.ReferencedROINumber)
        for item in structure.get("ContourSequence") or []:
            number += 1
            found = _points(item, f"contour {number} of the structure set")
            points += len(found)
            if points > MOST_POINTS or number > MOST_CONTOURS:
                raise NoPicture(f"the structure set has more than {MOST_POINTS} points or {MOST_CONTOURS} contours")
            yield Contour(
                structure=of, kind=str(item.get("ContourGeometricType", "")), points=found,
                images=tuple(_images(item)),
                frame_of_reference=str(regions[of].get("ReferencedFrameOfReferenceUID", "")),
            )


def _points(item: Dataset, called: str) -> NDArray[np.float64]:
    """Raises NoPicture for what is no list of points: nobody can say what else in such a set is wrong."""
    element = item.get_item("ContourData") if "ContourData" in item else None
    raw = element.value if element is not None else b""
    if not isinstance(raw, bytes) or not raw.strip():
        raise NoPicture(f"{called} has no points")
    raw = raw.rstrip(b" \0")
    numbers = raw.count(b"\\") + 1
    if numbers % 3:
        raise NoPicture(f"{called} has {numbers} numbers, which are no points of three")
    if numbers > 3 * MOST_POINTS:
        raise NoPicture(f"{called} has more than {MOST_POINTS} points")
    try:
        found = np.array([float(each) for each in raw.split(b"\\")]).reshape(-1, 3)
    except ValueError:
        raise NoPicture(f"{called} has a coordinate that is no number") from None
    if not _NUMBERS.fullmatch(raw) or not np.isfinite(found).all():
        raise NoPicture(f"{called} has a coordinate that is no number")
    said = item.get("NumberOfContourPoints")
    if said is not None and int(said) != len(found):
        raise NoPicture(f"{called} has {len(found)} points and says {int(said)}")
    return found


def _images(item: Dataset) -> Iterator[tuple[str, int]]:
    for each in item.get("ContourImageSequence") or []:
        frames = each.get("ReferencedFrameNumber")
        for frame in [0] if frames is None else np.atleast_1d(frames):
            yield str(each.get("ReferencedSOPInstanceUID", "")), int(frame)


def _planning(dataset: Dataset) -> Iterator[str]:
    for frame in dataset.get("ReferencedFrameOfReferenceSequence") or []:
        for study in frame.get("RTReferencedStudySequence") or []:
            for series in study.get("RTReferencedSeriesSequence") or []:
                for image in series.get("ContourImageSequence") or []:
                    yield str(image.get("ReferencedSOPInstanceUID", ""))


def _described(number: int, region: Dataset, observed: Dataset, colour: Any) -> dict[str, Any]:
    kind = (observed.get("RTROIIdentificationCodeSequence") or [None])[0]
    sides = (kind.get("SegmentedPropertyTypeModifierCodeSequence") or []) if kind is not None else []
    shown = [int(each) for each in colour] if colour is not None and not isinstance(colour, str) else []
    return {
        "number": number, "label": str(region.get("ROIName", ""))[:200] or f"ROI {number}",
        "type": str(kind.get("CodeMeaning", ""))[:200] if kind is not None else "",
        "side": str(sides[0].get("CodeMeaning", ""))[:200] if sides else "",
        "colour": shown if len(shown) == 3 and all(0 <= each <= 255 for each in shown)
        else list(PALETTE[number % len(PALETTE)]),
    }
