"""What the gate demands of the report for OHIF: each mark at the finding's place, with its numbers and no others.

Places in the patient are checked against the images' own headers, not against the grid that the writer used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from radnode.pipelines.findings import InPatient, OnImage, Rendering
from radnode.pipelines.results.report_document import sentences

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from pydicom import Dataset

    from radnode.pipelines.findings import Composite, Detection, Findings, Measurement, Path, Segment
    from radnode.pipelines.results.writing import Writing

Fault = tuple[str, str]

_GROUPS, _GROUP = "126010", "125007"
_TRACKING_ID, _TRACKING_UID, _FINDING, _COMMENT = "112039", "112040", "121071", "121106"
_CERTAINTY, _AREA, _DERIVATION = "111012", "42798000", "121401"
# OHIF compares these as strings.
_MEANINGS = {
    "126000": "Imaging Measurement Report", _GROUPS: "Imaging Measurements", _GROUP: "Measurement Group",
    _TRACKING_ID: "Tracking Identifier", _TRACKING_UID: "Tracking Unique Identifier", _AREA: "Area",
}
_TOOLS = "Cornerstone3DTools@^0.1.0:"
# Graphic Data are 32-bit floats: a thousandth of a pixel at 16 thousand columns.
_PIXEL = 0.002
_SQUARE = 1e-4
_SHAPES = {"Length": ("POLYLINE", 2), "ArrowAnnotate": ("POINT", 1), "RectangleROI": ("POLYLINE", 5)}
_MM = {"mm": 1.0, "cm": 10.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meant:
    """A mark that the findings ask for: the place of a detection, or the line that was measured."""

    finding: Segment | Detection | Composite
    place: OnImage | InPatient | Path
    measured: Measurement | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    """A mark of the report: one SCOORD and what it is selected from. points: (n, 2), (column, row)."""

    tool: str
    graphic: str
    points: NDArray[np.float64]
    sop_instance_uid: str
    frame_number: int | None


class _Unreadable(ValueError):
    """A group that is no mark."""


def faults(results: Sequence[Dataset], writing: Writing) -> Iterator[Fault]:
    """(check, what is wrong) for everything that is."""
    meant = _meant(writing)
    if bool(meant) != bool(results):
        yield "marks", f"{len(results)} reports for {len(meant)} marks"
    for result in results:
        items = list(_walk(result))
        yield from _document(result, items, writing)
        groups = [item for item in items if _name(item) == _GROUP]
        drawn = {_value(group, _TRACKING_UID, "UID"): group for group in groups}
        if len(drawn) != len(groups) or set(drawn) != set(meant):
            yield "marks", f"{len(groups)} marks, and the findings ask for {len(meant)}, or for others"
            continue
        for uid, group in drawn.items():
            try:
                yield from _mark(group, meant[uid], writing)
            except _Unreadable as error:
                yield "marks", f"{meant[uid].finding.key}: {error}"


def _meant(writing: Writing) -> dict[str, _Meant]:
    """Tracking UID -> what the findings want there."""
    findings, uid = writing.findings, writing.provenance.tracking_uid
    places = {
        uid(each.key): _Meant(finding=each, place=each.at) for each in findings.detections
        if each.rendering is not Rendering.NOT_SHOWN and _square(_spacing(findings, each.at))
    }
    seen: list[Segment | Detection | Composite] = [*findings.segments]
    seen += [each for each in findings.detections if each.rendering is not Rendering.NOT_SHOWN]
    seen += [each for each in findings.composites if each.rendering is not Rendering.NOT_SHOWN]
    known = {each.key: each for each in seen}
    for number, measured in enumerate(findings.measurements, 1):
        if measured.of in known and measured.path is not None and _is_line(measured, measured.path, findings):
            free = uid(measured.of) not in places
            own = uid(measured.of) if free else uid(f"{measured.of} measurement {number}")
            places[own] = _Meant(finding=known[measured.of], place=measured.path, measured=measured)
    return places


def _spacing(findings: Findings, at: OnImage | InPatient | Path) -> tuple[float, float] | None:
    if findings.volume is not None:
        _, between_rows, between_columns = findings.volume.spacing_mm
        return between_rows, between_columns
    return None if isinstance(at, InPatient) else findings.projection(at.sop_instance_uid, at.frame_number).spacing_mm


def _square(spacing: tuple[float, float] | None) -> bool:
    return spacing is None or math.isclose(*spacing, rel_tol=_SQUARE)


def _is_line(measured: Measurement, path: Path, findings: Findings) -> bool:
    if len(path.points) != 2 or measured.unit.value not in _MM:
        return False
    spacing = _spacing(findings, path)
    if spacing is None or not _square(spacing):
        return False
    columns, rows = path.points[1] - path.points[0]
    length = math.hypot(columns * spacing[1], rows * spacing[0])
    return math.isclose(measured.value * _MM[measured.unit.value], length, rel_tol=0.01)


def _document(result: Dataset, items: list[Dataset], writing: Writing) -> Iterator[Fault]:
    if result.get("VerificationFlag") != "UNVERIFIED" or "VerifyingObserverSequence" in result:
        yield "verification", "the report calls itself verified; no person has seen it"
    texts = {str(item.TextValue) for item in items if item.get("ValueType") == "TEXT"}
    if not texts.issuperset(sentences(writing)):
        yield "remarks", "a sentence that a reader must see is not in the report"
    for item in items:
        meaning = _MEANINGS.get(_name(item) or "")
        if meaning is not None and item.ConceptNameCodeSequence[0].CodeMeaning != meaning:
            yield "meanings", f"{meaning} is spelled in another way, and OHIF does not find it"
        if item.get("ValueType") == "SCOORD3D" or "ReferencedSegmentNumber" in _reference(item):
            yield "marks", "OHIF shows nothing of a report with three-dimensional coordinates or segments"
    listed = {
        str(instance.ReferencedSOPInstanceUID)
        for study in result.get("CurrentRequestedProcedureEvidenceSequence", [])
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
    if not {str(_reference(item).ReferencedSOPInstanceUID) for item in items if _reference(item)} <= listed:
        yield "reference", "the content refers to instances that are not listed as evidence"


def _mark(group: Dataset, meant: _Meant, writing: Writing) -> Iterator[Fault]:
    key, drawn = meant.finding.key, _drawn(group)
    finding = _value(group, _FINDING, "ConceptCodeSequence")[0]
    if (finding.CodeValue, finding.CodingSchemeDesignator) != (meant.finding.type.value, meant.finding.type.scheme):
        yield "marks", f"{key} is called {finding.CodeMeaning}"
    text = str(_value(group, _COMMENT, "TextValue"))
    if meant.finding.label not in text or "(AI" not in text:
        yield "marks", f"the text of {key} does not say what it is, or that a machine made it"
    yield from _inside(key, drawn, writing)
    place = meant.place
    if drawn.tool not in _tools(place) or _SHAPES.get(drawn.tool, (drawn.graphic, len(drawn.points))) != (
        drawn.graphic, len(drawn.points)
    ):
        yield "marks", f"{key} is no {drawn.tool} of {len(drawn.points)} points"
    if isinstance(place, InPatient):
        yield from _in_patient(key, drawn, place, writing)
    else:
        yield from _on_image(key, drawn, place)
    yield from _numbers(group, meant, drawn, writing)


def _tools(place: OnImage | InPatient | Path) -> set[str]:
    if isinstance(place, InPatient):
        return {"ArrowAnnotate"} if place.extent_mm is None else {"RectangleROI"}
    if isinstance(place, OnImage):
        return {"ArrowAnnotate"} if place.outline is None else {"PlanarFreehandROI", "RectangleROI", "ArrowAnnotate"}
    return {"Length"}


def _drawn(group: Dataset) -> _Drawn:
    coordinates = [item for item in _walk(group) if item.get("ValueType") == "SCOORD"]
    if len(coordinates) != 1:
        raise _Unreadable(f"{len(coordinates)} places")
    images = [_reference(child) for child in coordinates[0].get("ContentSequence", [])]
    if len(images) != 1 or not images[0]:
        raise _Unreadable("coordinates without an image")
    tool = str(_value(group, _TRACKING_ID, "TextValue"))
    if not tool.startswith(_TOOLS):
        raise _Unreadable("no tool of OHIF")
    frame = images[0].get("ReferencedFrameNumber")
    return _Drawn(
        tool=tool.removeprefix(_TOOLS), graphic=str(coordinates[0].GraphicType),
        points=np.array(coordinates[0].GraphicData, dtype=np.float64).reshape(-1, 2),
        sop_instance_uid=str(images[0].ReferencedSOPInstanceUID), frame_number=None if frame is None else int(frame),
    )


def _inside(key: str, drawn: _Drawn, writing: Writing) -> Iterator[Fault]:
    findings = writing.findings
    if findings.volume is not None:
        rows, columns = findings.volume.voxels.shape[1:]
    else:
        rows, columns = findings.projection(drawn.sop_instance_uid, drawn.frame_number).shape
    if (drawn.points < 0).any() or (drawn.points > (columns, rows)).any():
        yield "coordinates", f"{key} reaches beyond its image"


def _on_image(key: str, drawn: _Drawn, place: OnImage | Path) -> Iterator[Fault]:
    if (drawn.sop_instance_uid, drawn.frame_number) != (place.sop_instance_uid, place.frame_number):
        yield "reference", f"{key} is on another image"
    if drawn.tool == "ArrowAnnotate" and isinstance(place, OnImage):
        expected = np.array([place.center])
    elif isinstance(place, OnImage):
        expected = np.array([place.center]) if place.outline is None else np.vstack([place.outline, place.outline[:1]])
    else:
        expected = place.points
    if drawn.points.shape != expected.shape or np.abs(drawn.points - expected).max() > _PIXEL:
        yield "coordinates", f"{key} is not where the findings have it"


def _in_patient(key: str, drawn: _Drawn, place: InPatient, writing: Writing) -> Iterator[Fault]:
    """The image is the nearest one, and the mark the shadow of the place on it; all from the images' headers."""
    planes = {
        (frame.sop_instance_uid, frame.frame_number): _plane(writing.source.header(frame.sop_instance_uid),
                                                             frame.frame_number)
        for frame in writing.findings.grid.frames
    }
    origin, across, down = planes[drawn.sop_instance_uid, drawn.frame_number]
    normal = np.cross(across, down) / np.linalg.norm(np.cross(across, down))
    center = np.array(place.center_lps)
    away = {which: abs(float(np.dot(center - plane[0], normal))) for which, plane in planes.items()}
    nearest = min(away.values())
    # Half way between two slices either is right; scanners round positions to a hundredth of a millimetre.
    if away[drawn.sop_instance_uid, drawn.frame_number] > nearest + 0.05:
        yield "reference", f"{key} is marked on an image that is not the nearest"
    half = np.zeros(3) if place.extent_mm is None else np.array(place.extent_mm) / 2
    corners = center + np.array(list(product((-1, 1), repeat=3))) * half - origin
    shadow = np.column_stack([corners @ step / np.dot(step, step) + 0.5 for step in (across, down)])
    shadow = np.clip(shadow, 0, np.array(writing.findings.grid.voxels.shape)[[2, 1]])
    extremes = [(drawn.points.min(axis=0), shadow.min(axis=0)), (drawn.points.max(axis=0), shadow.max(axis=0))]
    if any(np.abs(one - other).max() > 0.05 for one, other in extremes):
        yield "coordinates", f"{key} is not where the findings have it"


def _plane(header: Dataset, frame_number: int | None) -> tuple[NDArray[np.float64], ...]:
    """Middle of the first pixel, and the steps to the next column and the next row, in LPS millimetres."""
    if frame_number is None:
        position, orientation, measures = header, header, header
    else:
        own = header.PerFrameFunctionalGroupsSequence[frame_number - 1]
        shared = header.SharedFunctionalGroupsSequence[0]
        position, orientation, measures = (
            (own if macro in own else shared)[macro][0]
            for macro in ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")
        )
    cosines = np.array(orientation.ImageOrientationPatient, dtype=np.float64).reshape(2, 3)
    between_rows, between_columns = (float(value) for value in measures.PixelSpacing)
    origin = np.array(position.ImagePositionPatient, dtype=np.float64)
    return origin, cosines[0] * between_columns, cosines[1] * between_rows


def _numbers(group: Dataset, meant: _Meant, drawn: _Drawn, writing: Writing) -> Iterator[Fault]:
    """OHIF takes the first number of an outline for its area and that of a line for its length."""
    key, said = meant.finding.key, [_number(item) for item in group.ContentSequence if item.get("ValueType") == "NUM"]
    expected = _expected(meant, drawn, writing)
    if drawn.tool == "PlanarFreehandROI" and (not said or said[0][0] != _AREA):
        yield "measurements", f"OHIF would show another number as the area of {key}"
    same = len(said) == len(expected) and all(
        one[:3] == other[:3] and math.isclose(one[3], other[3], rel_tol=1e-6, abs_tol=1e-9)
        for one, other in zip(sorted(said), sorted(expected), strict=True)
    )
    if not same:
        yield "measurements", f"the numbers of {key} are not those of the findings"


def _expected(meant: _Meant, drawn: _Drawn, writing: Writing) -> list[tuple[str, str, str, float]]:
    if meant.measured is not None:
        return [_said(meant.measured)]
    findings, key = writing.findings, meant.finding.key
    expected = [_said(each) for each in findings.measurements if each.of == key and each.path is None]
    certainty = getattr(meant.finding, "certainty", None)
    if certainty is not None:
        expected.append((_CERTAINTY, "%", "", 100 * certainty))
    if drawn.tool == "PlanarFreehandROI":
        spacing = _spacing(findings, meant.place)
        x, y = (drawn.points - drawn.points[0]).T
        pixels = abs(float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum())) / 2
        expected = [each for each in expected if each[0] != _AREA]
        expected.append((_AREA, "mm2", "", pixels * math.prod(spacing or (math.nan,))))
    return expected


def _said(measured: Measurement) -> tuple[str, str, str, float]:
    return (measured.name.value, measured.unit.value, measured.method.value if measured.method else "",
            measured.value)


def _number(item: Dataset) -> tuple[str, str, str, float]:
    """(concept, unit, derivation, value) of a NUM item; not a number if there is no value."""
    derivation = [str(child.ConceptCodeSequence[0].CodeValue) for child in item.get("ContentSequence", [])
                  if _name(child) == _DERIVATION]
    values: Any = item.get("MeasuredValueSequence")
    if not values:
        return str(_name(item)), "", "", math.nan
    unit = str(values[0].MeasurementUnitsCodeSequence[0].CodeValue)
    return str(_name(item)), unit, derivation[0] if derivation else "", float(values[0].NumericValue)


def _walk(item: Dataset) -> Iterator[Dataset]:
    yield item
    for child in item.get("ContentSequence", []):
        yield from _walk(child)


def _name(item: Dataset) -> str | None:
    names = item.get("ConceptNameCodeSequence")
    return str(names[0].CodeValue) if names else None


def _value(group: Dataset, name: str, attribute: str) -> Any:
    found = [child.get(attribute) for child in group.ContentSequence if _name(child) == name]
    if len(found) != 1 or not found[0]:
        raise _Unreadable(f"{len(found)} items of concept {name}")
    return found[0]


def _reference(item: Dataset) -> Any:
    references = item.get("ReferencedSOPSequence")
    return references[0] if references else {}
