"""What the gate demands of a measurement report: the numbers, the places, the remarks and the outcome."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from radnode.pipelines.findings import STUDY, Composite, Detection, Segment
from radnode.pipelines.results import placing
from radnode.pipelines.results.gate_findings import drawn_on
from radnode.pipelines.results.report_document import sentences, summary_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydicom import Dataset

    from radnode.pipelines.findings import Findings
    from radnode.pipelines.results.writing import Writing

Fault = tuple[str, str]

_OUTCOME = "111017"
_MEASUREMENT_GROUP = "125007"
_TRACKING_UID = "112040"
_FINDING = "121071"
_REFERENCED_SEGMENT = "121191"
_IMAGE_REGION = "111030"
_DERIVATION = "121401"
_VOLUME = "118565006"
_CERTAINTY = "111012"


def faults(results: Sequence[Dataset], writing: Writing) -> Iterator[Fault]:
    """(check, what is wrong) for everything that is."""
    if not results:
        yield "missing", "a run that ended with an answer has a report"
        return
    groups: list[Dataset] = []
    for result in results:
        items = list(_walk(result))
        if result.get("VerificationFlag") != "UNVERIFIED" or "VerifyingObserverSequence" in result:
            yield "verification", "the report calls itself verified; no person has seen it"
        outcomes = [str(item.ConceptCodeSequence[0].CodeValue) for item in items if _name(item) == _OUTCOME]
        if outcomes != [summary_of(writing.findings).value]:
            yield "outcome", f"the report says {outcomes}, nothing found is {writing.findings.nothing_found}"
        texts = {str(item.TextValue) for item in items if item.get("ValueType") == "TEXT"}
        if missing := [sentence for sentence in sentences(writing) if sentence not in texts]:
            yield "remarks", f"{len(missing)} sentences a reader must see are not in the report"
        groups += [item for item in items if _name(item) == _MEASUREMENT_GROUP]
        yield from _evidence(result, items)
    yield from _groups(groups, writing)


def _walk(item: Dataset) -> Iterator[Dataset]:
    yield item
    for child in item.get("ContentSequence", []):
        yield from _walk(child)


def _name(item: Dataset) -> str | None:
    names = item.get("ConceptNameCodeSequence")
    return str(names[0].CodeValue) if names else None


def _groups(groups: list[Dataset], writing: Writing) -> Iterator[Fault]:
    """One group for each finding, with its name, its numbers, its answers and its place."""
    findings, provenance = writing.findings, writing.provenance
    found: dict[str, Segment | Detection | Composite] = {segment.key: segment for segment in findings.segments}
    found |= {detection.key: detection for detection in findings.detections}
    found |= {composite.key: composite for composite in findings.composites}
    wholes = {each.key: each for each in findings.classifications if each.of == STUDY or "." in each.of}
    expected = {provenance.tracking_uid(key): key for key in (*found, *wholes)}
    held = {str(child.UID): group for group in groups for child in group.ContentSequence
            if _name(child) == _TRACKING_UID}
    if len(held) != len(groups) or set(held) != set(expected):
        yield "measurements", f"{len(groups)} groups, not one for each of {len(expected)} findings"
        return
    for uid, group in held.items():
        key = expected[uid]
        yield from _answers(group, key, findings)
        yield from _image(group, key, findings)
        if key in wholes:
            continue
        named = [_value(child) for child in group.ContentSequence if _name(child) == _FINDING]
        if named != [found[key].type.value]:
            yield "codes", f"{key} is called {named}"
        yield from _numbers(group, key, found[key].certainty, findings)
        each = found[key]
        if isinstance(each, Segment) and each.on is None and writing.beside:
            yield from _referenced_segment(group, uid, writing)
        if isinstance(each, Detection):
            yield from _region(group, each, findings)


def _image(group: Dataset, key: str, findings: Findings) -> Iterator[Fault]:
    """What is about one image, or frames of it, names them."""
    meant: set[tuple[str, int | None]] = set()
    for answer in findings.classifications:
        if answer.key == key and any(answer.of == each.source.sop_instance_uid for each in findings.projections):
            meant.add((answer.of, answer.frame_number))
    for segment in findings.segments:
        if segment.key == key and segment.on is not None:
            meant |= {(each.sop_instance_uid, each.frame_number) for each, _ in findings.planes_of(segment)}
    said = {
        (str(reference.ReferencedSOPInstanceUID), None if frame is None else int(frame))
        for child in group.ContentSequence if child.get("ValueType") == "IMAGE"
        for reference in child.ReferencedSOPSequence
        for frame in np.atleast_1d(reference.get("ReferencedFrameNumber"))
    }
    if meant and said != meant:
        yield "reference", f"{key} does not name the image that it is about"


def _answers(group: Dataset, key: str, findings: Findings) -> Iterator[Fault]:
    said = [(_name(child), _value(child)) for child in group.ContentSequence if child.get("ValueType") == "CODE"]
    meant = [(each.name.value, each.value.value) for each in findings.classifications if key in (each.key, each.of)]
    meant += [(name.value, value.value) for each in findings.detections if each.key == key
              for name, value in each.descriptors]
    if missing := [answer for answer in meant if answer not in said]:
        yield "codes", f"{key}: {len(missing)} answers of the findings are not in its group"


def _value(item: Dataset) -> str:
    return str(item.ConceptCodeSequence[0].CodeValue)


def _numbers(group: Dataset, key: str, certainty: float | None, findings: Findings) -> Iterator[Fault]:
    said = sorted(_number(child) for child in group.ContentSequence if child.get("ValueType") == "NUM")
    expected = [
        (meant.name.value, meant.unit.value, meant.method.value if meant.method else "", meant.value)
        for meant in findings.measurements if meant.of == key
    ]
    if certainty is not None:
        expected.append((_CERTAINTY, "%", "", 100 * certainty))
    # A Decimal String holds 16 characters: about 14 digits.
    same = len(said) == len(expected) and all(
        one[:3] == other[:3] and math.isclose(one[3], other[3], rel_tol=1e-9, abs_tol=1e-9)
        for one, other in zip(said, sorted(expected), strict=True)
    )
    if not same:
        yield "measurements", f"the numbers of {key} are not those of the findings"
    for name, unit, _, value in said:
        if not _plausible(name, unit, value, findings):
            yield "plausibility", f"{key}: {value} {unit} is impossible"


def _number(item: Dataset) -> tuple[str, str, str, float]:
    """(concept, unit, derivation, value) of a NUM item; not a number if there is no value."""
    derivation = [_value(child) for child in item.get("ContentSequence", []) if _name(child) == _DERIVATION]
    values: Any = item.get("MeasuredValueSequence")
    if not values:
        return str(_name(item)), "", "", math.nan
    unit = str(values[0].MeasurementUnitsCodeSequence[0].CodeValue)
    return str(_name(item)), unit, derivation[0] if derivation else "", float(values[0].NumericValue)


def _plausible(name: str, unit: str, value: float, findings: Findings) -> bool:
    """What no body can have: a volume below zero or above the scan's, a share beyond 0 to 100 %, no number at
    all.
    """
    if not math.isfinite(value):
        return False
    if name == _VOLUME and findings.volume is not None:
        grid_mm3 = findings.volume.voxel_volume_mm3 * findings.volume.voxels.size
        return 0 < value <= grid_mm3 * _PER_MM3.get(unit, 1.0) * (1 + 1e-9)
    return unit != "%" or 0 <= value <= 100


_PER_MM3: Mapping[str, float] = {"mm3": 1.0, "ml": 1e-3, "mL": 1e-3, "cm3": 1e-3, "l": 1e-6, "L": 1e-6}


def _referenced_segment(group: Dataset, tracking_uid: str, writing: Writing) -> Iterator[Fault]:
    meant = [
        (str(segmentation.SOPInstanceUID), int(item.SegmentNumber))
        for segmentation in writing.beside for item in segmentation.SegmentSequence
        if str(item.get("TrackingUID")) == tracking_uid
    ]
    referenced = [
        (str(reference.ReferencedSOPInstanceUID), _only(reference.ReferencedSegmentNumber))
        for child in group.ContentSequence if _name(child) == _REFERENCED_SEGMENT
        for reference in child.ReferencedSOPSequence
    ]
    if referenced != meant:
        yield "reference", "a measurement group does not refer to the segment it measures"


def _only(value: Any) -> int:
    return int(value[0] if isinstance(value, (list, tuple)) else value)


def _region(group: Dataset, detection: Detection, findings: Findings) -> Iterator[Fault]:
    """The outline or the point of a detection, on its image and inside it."""
    regions = [child for child in group.ContentSequence if _name(child) == _IMAGE_REGION]
    meant = placing.place(detection, findings)
    if len(regions) != 1:
        yield "geometry", f"{detection.key} has {len(regions)} regions"
        return
    points = np.array(regions[0].GraphicData, dtype=np.float64).reshape(-1, 2)
    # Coordinates are 32-bit floats (PS3.3 C.18.6).
    if points.shape != meant.points.shape or np.abs(points - meant.points).max() > 1e-3:
        yield "geometry", f"{detection.key} does not lie where it was found"
    shape = (findings.grid.voxels.shape[1:] if findings.volume is not None
             else findings.projection(meant.image.sop_instance_uid, meant.image.frame_number).shape)
    if (points < 0).any() or (points > np.array(shape[::-1])).any():
        yield "geometry", f"{detection.key} lies outside its image"
    images = [
        (str(reference.ReferencedSOPInstanceUID), reference.get("ReferencedFrameNumber"))
        for child in regions[0].ContentSequence for reference in child.ReferencedSOPSequence
    ]
    yield from drawn_on(detection, findings, (meant.image.sop_instance_uid, meant.image.frame_number), points)
    if images != [(meant.image.sop_instance_uid, meant.image.frame_number)]:
        yield "reference", f"{detection.key} is drawn on another image than the one it was found on"


def _evidence(result: Dataset, items: list[Dataset]) -> Iterator[Fault]:
    """PS3.3 C.17.2.3: every instance that the content refers to is listed as evidence."""
    listed = {
        str(instance.ReferencedSOPInstanceUID)
        for study in result.get("CurrentRequestedProcedureEvidenceSequence", [])
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
    referenced = {str(reference.ReferencedSOPInstanceUID)
                  for item in items for reference in item.get("ReferencedSOPSequence", [])}
    if not referenced or not referenced <= listed:
        yield "reference", "the content refers to instances that are not listed as evidence"
