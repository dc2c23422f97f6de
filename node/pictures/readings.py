"""What was found on the pictures of one series: where each finding lies, and what of it cannot be shown. Pure.

A finding is on the picture that it names by SOP Instance UID and frame; a place in the patient is on the slices of its
own frame of reference that it passes through. Nothing is matched by its place in a list.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from radnode.node.pictures.planes import is_same, plane_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from radnode.node.pictures.slices import Slice

PALETTE = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (80, 150, 230), (213, 94, 0), (204, 121, 167))
"""After Okabe and Ito, told apart by who is colour blind."""
MARK = (255, 214, 10)
_DRAWN = frozenset({"POINT", "MULTIPOINT", "POLYLINE", "POLYGON", "CIRCLE", "ELLIPSE"})
_NEAR_MM = 0.05

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What is drawn on one picture. kind: POINT, POLYLINE, CIRCLE (centre, a point on it), ELLIPSE (ends of its axes).

    points: pixel coordinates, the corner of the first pixel at 0, 0. at: which picture.
    """

    at: int
    kind: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the list. at: the picture to go to, None where it is on none of these pictures.

    segment: its number in the segmentation. pictures: on how many it is. of: what it belongs to. numbers: name, value,
    unit; answers: name, value. elsewhere: SOP Instance UID of the image that it names, of another series.
    """

    name: str
    colour: Colour
    side: str = ""
    site: str = ""
    at: int | None = None
    pictures: int = 0
    segment: int | None = None
    numbers: tuple[tuple[str, float, str], ...] = ()
    answers: tuple[tuple[str, str], ...] = ()
    shapes: tuple[Shape, ...] = ()
    of: str = ""
    shown: bool = True
    elsewhere: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one object says of these pictures.

    layers: picture -> frames of the segmentation on it, or structures of the contours. outlined: it is drawn as lines.
    scale: what decides for no pixel, as :class:`radnode.node.pictures.reading_segments.Scale` says.

    elsewhere: frames, contours or findings that name no picture of this series; displaced: frames whose pixels are not
    those of the picture that they name, contours off its plane; foreign: contours in another frame of reference than
    the picture that they name. unread: why it cannot be read.
    is_empty: a report that lists no finding at all.
    """

    findings: tuple[Finding, ...] = ()
    summary: tuple[str, ...] = ()
    layers: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    elsewhere: int = 0
    displaced: int = 0
    foreign: int = 0
    outlined: bool = False
    scale: Mapping[str, Any] | None = None
    left_out: int = 0
    unread: str = ""
    is_empty: bool = False

    @property
    def concerns(self) -> bool:
        """Whether it says anything of these pictures."""
        return bool(self.layers or self.unread or self.displaced or self.foreign or self.summary or self.is_empty
                    or any(each.at is not None for each in self.findings))


def of_segments(said: Mapping[str, Any], slices: Sequence[Slice]) -> Reading:
    """A segmentation, as :func:`radnode.node.pictures.reading_segments.index` gives it."""
    places = {each.key: at for at, each in enumerate(slices)}
    layers: dict[int, list[int]] = defaultdict(list)
    pixels: dict[int, Counter[int]] = defaultdict(Counter)
    elsewhere = displaced = 0
    for number, (uid, frame, counts, place) in enumerate(said["frames"], 1):
        at = places.get((uid, frame), places.get((uid, 0)) if frame == 1 else None)
        if at is None:
            elsewhere += 1
            continue
        if not _lies_on(said, place, slices[at]):
            displaced += 1
            continue
        layers[at].append(number)
        for segment, count in counts.items():
            if count:
                pixels[int(segment)][at] += count
    findings = [
        Finding(
            name=each["label"], side=each["side"], site=each["type"], segment=each["number"], colour=_colour(each),
            at=pixels[each["number"]].most_common(1)[0][0] if pixels[each["number"]] else None,
            pictures=len(pixels[each["number"]]),
        )
        for each in said["segments"]
    ]
    return Reading(findings=tuple(findings), layers={at: tuple(each) for at, each in layers.items()},
                   elsewhere=elsewhere, displaced=displaced, scale=said["scale"])


def of_contours(said: Mapping[str, Any], asked: Sequence[int]) -> Reading:
    """A structure set, as :func:`radnode.node.pictures.reading_contours.index` gives it of the pictures `asked`."""
    layers = {at: {int(number): points for number, points in on.items()}
              for at, on in zip(asked, said["on"], strict=True) if on}
    findings = []
    for each in said["structures"]:
        points = {at: on[each["number"]] for at, on in layers.items() if each["number"] in on}
        red, green, blue = each["colour"]
        findings.append(Finding(
            name=each["label"], side=each["side"], site=each["type"], segment=each["number"], pictures=len(points),
            colour=(red, green, blue), at=max(points, key=lambda at: points[at]) if points else None,
        ))
    return Reading(findings=tuple(findings), layers={at: tuple(sorted(on)) for at, on in layers.items()},
                   elsewhere=said["elsewhere"], displaced=said["displaced"], foreign=said["foreign"], outlined=True)


def of_report(said: Mapping[str, Any], slices: Sequence[Slice], frame_of_reference: str) -> Reading:
    """A report, as :func:`radnode.node.pictures.reading_reports.report` gives it."""
    places = {each.key: at for at, each in enumerate(slices)}
    names = [each["name"] for each in said["findings"]]
    findings, elsewhere = [], 0
    for each in said["findings"]:
        shapes = (*_on_pictures(each, places), *_in_patient(each, slices, frame_of_reference))
        named = [at for uid, frame in each["images"] if (at := places.get((uid, frame))) is not None]
        at = shapes[len(shapes) // 2].at if shapes else named[0] if named else None
        away = "" if at is not None else next(
            iter([place["on"][0] for place in each["places"]] or [uid for uid, _ in each["images"]]), "")
        elsewhere += at is None and not away and bool(each["in_patient"])
        findings.append(Finding(
            name=each["name"], side=each["side"] or _side_of(slices, at), site=each["site"], colour=MARK, at=at,
            pictures=len({shape.at for shape in shapes}), numbers=tuple((a, b, c) for a, b, c in each["numbers"]),
            answers=tuple((a, b) for a, b in each["answers"]), shapes=shapes, shown=each["shown"],
            of=names[each["of"]] if each["of"] is not None else "", elsewhere=away,
        ))
    return Reading(findings=tuple(findings), summary=tuple(said["summary"]), elsewhere=elsewhere,
                   left_out=said["left_out"], is_empty=not findings)


def numbers_of_segments(said: Mapping[str, Any]) -> dict[tuple[str, int], Mapping[str, Any]]:
    """(SOP Instance UID of a segmentation, segment) -> what a report says of it."""
    return {(each["segment"][0], each["segment"][1]): each for each in said["findings"] if each["segment"]}


def with_numbers(reading: Reading, uid: str, known: Mapping[tuple[str, int], Mapping[str, Any]]) -> Reading:
    """The segments of this segmentation with what the reports say of them."""
    found = []
    for each in reading.findings:
        said = known.get((uid, each.segment)) if each.segment is not None else None
        found.append(each if said is None else replace(
            each, numbers=tuple((a, b, c) for a, b, c in said["numbers"]),
            answers=tuple((a, b) for a, b in said["answers"]), side=each.side or said["side"],
        ))
    return replace(reading, findings=tuple(found))


def _lies_on(said: Mapping[str, Any], place: Mapping[str, Any], picture: Slice) -> bool:
    """Of projections, which have no place, the same number of rows and columns."""
    if (said["rows"], said["columns"]) != (picture.rows, picture.columns):
        return False
    plane = plane_of({**place, "Rows": said["rows"], "Columns": said["columns"]})
    if plane is None or picture.plane is None:
        return plane is None and picture.plane is None
    return is_same(plane, picture.plane)


def _on_pictures(finding: Mapping[str, Any], places: Mapping[tuple[str, int], int]) -> list[Shape]:
    found = []
    for place in finding["places"]:
        uid, frame = place["on"]
        at = places.get((uid, frame), places.get((uid, 0)) if frame == 1 else None)
        if at is not None and place["kind"] in _DRAWN:
            found.append(Shape(at=at, kind=place["kind"], points=tuple((x, y) for x, y in place["points"])))
    return found


def _in_patient(finding: Mapping[str, Any], slices: Sequence[Slice], frame_of_reference: str) -> list[Shape]:
    """Points and outlines on the slice that they lie on: nearest, and no further off than half way to the next."""
    found: list[Shape] = []
    for place in finding["in_patient"]:
        if not frame_of_reference or place["frame_of_reference"] != frame_of_reference or place["kind"] not in _DRAWN:
            continue
        points = np.array(place["points"], dtype=np.float64)
        cast = [(at, *each.plane.pixels(points)) for at, each in enumerate(slices) if each.plane is not None]
        if not cast:
            continue
        at, pixels, off = min(cast, key=lambda each: float(np.abs(each[2]).max()))
        if float(np.abs(off).max()) <= _half_way(slices) + _NEAR_MM:
            found.append(Shape(at=at, kind=place["kind"], points=tuple((float(x), float(y)) for x, y in pixels)))
    return found


def _half_way(slices: Sequence[Slice]) -> float:
    """Half of the largest distance between neighbouring slices, mm."""
    planes = [each.plane for each in slices if each.plane is not None]
    steps = [abs(float((np.array(b.position) - np.array(a.position)) @ a.normal))
             for a, b in pairwise(planes)]
    return max(steps, default=0.0) / 2


def _side_of(slices: Sequence[Slice], at: int | None) -> str:
    return slices[at].side if at is not None else ""


def _colour(segment: Mapping[str, Any]) -> Colour:
    if not segment["cielab"]:
        return PALETTE[segment["number"] % len(PALETTE)]
    from highdicom.color import CIELabColor

    red, green, blue = CIELabColor.from_dicom_value(segment["cielab"]).to_rgb(clip=True)
    return red, green, blue
