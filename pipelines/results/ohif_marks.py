"""What OHIF can show of the findings as tools: a line, an outline, a box or an arrow on one image.

OHIF 3 places image coordinates with the two pixel spacings exchanged, which is right only where pixels are square. On
other images nothing is marked: a mark beside the lesion is worse than none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines.findings import Code, Composite, Detection, InPatient, Rendering, Segment
from radnode.pipelines.results import placing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from radnode.pipelines.findings import Findings, Measurement
    from radnode.pipelines.geometry import SourceFrame

Finding = Segment | Detection | Composite

AREA = Code("42798000", "SCT", "Area")
CERTAINTY = Code("111012", "DCM", "Certainty of Finding")
_SQUARE_MM = Code("mm2", "UCUM", "square millimeter")
_PERCENT = Code("%", "UCUM", "Percent")
_LENGTH_UNITS = {"mm": 1.0, "cm": 10.0}
# Spacings that differ by less than this keep the far corner of 1000 pixels within a tenth of a pixel.
_SQUARE = 1e-4
# OHIF measures a line again when it is touched; a number that is not the line's would change under the reader.
_SAME_LENGTH = 0.01


class Tool(StrEnum):
    """A tool of OHIF, by the name that its importer knows."""

    LENGTH = "Length"
    OUTLINE = "PlanarFreehandROI"
    BOX = "RectangleROI"
    ARROW = "ArrowAnnotate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A value to show with a mark; code and unit as in a :class:`Measurement`."""

    name: Code
    value: float
    unit: Code
    method: Code | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One tool on one image.

    identity: the finding's key, or its key and the number of the measurement where the finding has a mark already:
    OHIF joins what has one Tracking UID. points: float64 (n, 2), (column, row) as in :class:`OnImage`; what is closed
    repeats its first point. numbers: OHIF shows the first as what the tool measures, so it must be that.
    """

    tool: Tool
    identity: str
    finding: Finding
    text: str
    image: SourceFrame
    points: NDArray[np.float64]
    numbers: tuple[Number, ...]


def marks(findings: Findings) -> tuple[Mark, ...]:
    """Every detection that may be shown, then every length with its path, in the order of the findings.

    Raises RunFailed for a detection that lies outside the volume it was found in.
    """
    shown = [_detection(each, findings) for each in findings.detections if each.rendering is not Rendering.NOT_SHOWN]
    found = [mark for mark in shown if _pixels_are_square(findings, mark.image)]
    return (*found, *_lengths(findings, {mark.identity for mark in found}))


def spacing_mm(findings: Findings, image: SourceFrame) -> tuple[float, float] | None:
    """Between the rows and between the columns of an image; None if it does not say."""
    if findings.volume is not None:
        return findings.volume.spacing_mm[1:]
    return findings.projection(image.sop_instance_uid, image.frame_number).spacing_mm


def _pixels_are_square(findings: Findings, image: SourceFrame) -> bool:
    spacing = spacing_mm(findings, image)
    return spacing is None or abs(spacing[0] / spacing[1] - 1) < _SQUARE


def _detection(found: Detection, findings: Findings) -> Mark:
    placed = placing.place(found, findings)
    said = tuple(_said(found, findings))
    spacing = spacing_mm(findings, placed.image)
    if placed.is_point:
        return _mark(found, Tool.ARROW, placed, said)
    if isinstance(found.at, InPatient) or _is_box(placed.points):
        return _mark(found, Tool.BOX, placed, said)
    if spacing is None:
        # OHIF's outline shows an area, and there is none in millimetres.
        return _mark(found, Tool.ARROW, replace(placed, points=np.array([found.at.center])), said)
    area = Number(name=AREA, value=_area(placed.points) * spacing[0] * spacing[1], unit=_SQUARE_MM)
    return _mark(found, Tool.OUTLINE, placed, (area, *(each for each in said if each.name != AREA)))


def _mark(found: Detection, tool: Tool, placed: placing.Placed, numbers: tuple[Number, ...]) -> Mark:
    certainty = "" if found.certainty is None else f", {found.certainty:.0%}"
    return Mark(tool=tool, identity=found.key, finding=found, text=f"{found.label}{certainty}", image=placed.image,
                points=placed.points, numbers=numbers)


def _said(found: Detection, findings: Findings) -> Iterator[Number]:
    """What the findings say about a detection in numbers, but for lengths with a mark of their own."""
    if found.certainty is not None:
        yield Number(name=CERTAINTY, value=100 * found.certainty, unit=_PERCENT)
    for each in findings.measurements:
        if each.of == found.key and each.path is None:
            yield Number(name=each.name, value=each.value, unit=each.unit, method=each.method)


def _is_box(closed: NDArray[np.float64]) -> bool:
    """Whether an outline is a rectangle of whole rows and columns."""
    steps = np.diff(closed, axis=0) == 0
    return len(closed) == 5 and bool((steps.sum(axis=1) == 1).all() and (steps[0] == steps[2]).all()
                                     and (steps[1] == steps[3]).all() and (steps[0] != steps[1]).all())


def _area(closed: NDArray[np.float64]) -> float:
    """The area inside an outline, in pixels."""
    (x, y) = closed.T
    return float(abs(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1])) / 2)


def _lengths(findings: Findings, marked: set[str]) -> Iterator[Mark]:
    shown: list[Finding] = [*findings.segments]
    shown += [each for each in findings.detections if each.rendering is not Rendering.NOT_SHOWN]
    shown += [each for each in findings.composites if each.rendering is not Rendering.NOT_SHOWN]
    named = {each.key: each for each in shown}
    for number, measured in enumerate(findings.measurements, 1):
        if measured.path is None or measured.of not in named or not _is_line(measured, findings):
            continue
        found = named[measured.of]
        identity = measured.of if measured.of not in marked else f"{measured.of} measurement {number}"
        marked.add(identity)
        value = Number(name=measured.name, value=measured.value, unit=measured.unit, method=measured.method)
        yield Mark(
            tool=Tool.LENGTH, identity=identity, finding=found, text=f"{found.label}: {measured.name.meaning}",
            image=placing.frame_of(findings, measured.path),
            points=measured.path.points, numbers=(value,),
        )


def _is_line(measured: Measurement, findings: Findings) -> bool:
    """Whether a measurement is the length of a straight line on an image with square pixels of known size."""
    if measured.path is None or len(measured.path.points) != 2 or measured.unit.value not in _LENGTH_UNITS:
        return False
    image = placing.frame_of(findings, measured.path)
    spacing = spacing_mm(findings, image)
    if spacing is None or not _pixels_are_square(findings, image):
        return False
    length = float(np.hypot(*((measured.path.points[1] - measured.path.points[0]) * spacing[::-1])))
    return abs(measured.value * _LENGTH_UNITS[measured.unit.value] - length) <= _SAME_LENGTH * length
