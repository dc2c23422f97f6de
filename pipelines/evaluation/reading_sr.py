"""Structured reports of TID 1500: measurements, answers, and places of findings; highdicom takes them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from highdicom import sr
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage, EnhancedSRStorage

from radnode.pipelines.evaluation.naming import Reference
from radnode.pipelines.evaluation.truth import Answer, Mark, Number, ReferenceRefused, Truth
from radnode.pipelines.findings import InPatient, OnImage
from radnode.pipelines.geometry import to_patient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydicom import Dataset

    from radnode.pipelines.findings import Findings
    from radnode.pipelines.geometry import Volume

CLASSES = (EnhancedSRStorage, ComprehensiveSRStorage, Comprehensive3DSRStorage)
_CERTAINTY = ("111012", "DCM")
_UNREADABLE = (AttributeError, KeyError, IndexError, ValueError, TypeError, RuntimeError)


def reference(path: Path, source: str, header: Dataset) -> Reference:
    """A report, of the series of its evidence."""
    series = tuple(str(each.SeriesInstanceUID)
                   for study in header.get("CurrentRequestedProcedureEvidenceSequence", [])
                   for each in study.get("ReferencedSeriesSequence", []))
    return Reference(source=source, study=str(header.get("StudyInstanceUID", "")), series=series,
                     read=lambda findings: _truth(path, findings))


def _truth(path: Path, findings: Findings) -> Truth:
    try:
        content: Any = sr.srread(path).content
        if not isinstance(content, sr.MeasurementReport):
            raise ReferenceRefused("a report of another template than TID 1500")
        planar = list(content.get_planar_roi_measurement_groups())
        others = [*content.get_volumetric_roi_measurement_groups(), *content.get_image_measurement_groups()]
        numbers = [number for group in others for number in _numbers(group)]
        answers = [answer for group in others if group.finding_type is None for answer in _answers(group)]
    except _UNREADABLE as error:
        raise ReferenceRefused(f"it cannot be read as a report of TID 1500 ({type(error).__name__})") from error
    try:
        marks = tuple(_mark(group, findings) for group in planar)
    except ReferenceRefused as error:
        # One mark less would make a false mark of what hits it.
        return Truth(numbers=tuple(numbers), answers=tuple(answers), notes=(f"no place was compared: {error}",))
    except _UNREADABLE as error:
        raise ReferenceRefused(f"its places cannot be read ({type(error).__name__})") from error
    return Truth(marks=marks or None, numbers=tuple(numbers), answers=tuple(answers))


def _numbers(group: Any) -> Iterator[Number]:
    """Of what the group's finding is called, its side before it."""
    kind = group.finding_type
    if kind is None:
        return
    sides = [site.laterality.meaning for site in group.finding_sites if site.laterality is not None]
    of = " ".join([*sides[:1], kind.meaning])
    for each in group.get_measurements():
        if (each.name.value, each.name.scheme_designator) != _CERTAINTY and each.value is not None:
            yield Number(of=of, name=each.name.meaning, value=float(each.value), unit=each.unit.value)


def _answers(group: Any) -> Iterator[Answer]:
    for each in group.get_qualitative_evaluations():
        yield Answer(name=each.name.meaning, value=each.value.meaning)


def _mark(group: Any, findings: Findings) -> Mark:
    region = group.roi
    if region is None:
        raise ReferenceRefused("a finding without a place of its own: its region is in another object")
    label = group.finding_type.meaning if group.finding_type is not None else ""
    points = np.asarray(region.value, dtype=np.float64)
    if isinstance(region, sr.ImageRegion3D):
        center, radius = _circle(points)
        return Mark(at=InPatient(center_lps=(center[0], center[1], center[2])), radius=radius, label=label)
    image = region.ContentSequence[0].ReferencedSOPSequence[0]
    uid, frame = str(image.ReferencedSOPInstanceUID), image.get("ReferencedFrameNumber")
    if findings.volume is not None:
        center, radius = _circle(_in_patient(points, uid, frame, findings.volume))
        return Mark(at=InPatient(center_lps=(center[0], center[1], center[2])), radius=radius, label=label)
    center, radius = _circle(points)
    if radius is None:
        raise ReferenceRefused("a finding on an image is a point without a size: which detection hits it, nobody says")
    place = OnImage(sop_instance_uid=uid, center=(center[0], center[1]), frame_number=int(frame) if frame else None)
    return Mark(at=place, radius=radius, label=label)


def _in_patient(points: Any, uid: str, frame: Any, volume: Volume) -> Any:
    """(n, 2) column and row, the corner of the image at (0, 0), to (n, 3) LPS millimetres."""
    number = int(frame) if frame else None
    places = [place for place, each in enumerate(volume.frames)
              if each.sop_instance_uid == uid and each.frame_number == number]
    if not places:
        raise ReferenceRefused("a finding lies on an image that the pipeline did not read")
    index = np.column_stack([np.full(len(points), places[0]), points[:, 1] - 0.5, points[:, 0] - 0.5])
    return to_patient(volume.affine, index)


def _circle(points: Any) -> tuple[list[float], float | None]:
    """The middle of an outline and how far it reaches from there; a point has no radius."""
    center = points[:-1].mean(axis=0) if len(points) > 3 and (points[0] == points[-1]).all() else points.mean(axis=0)
    reach = float(np.linalg.norm(points - center, axis=1).max())
    return [float(each) for each in center], reach if len(points) > 1 and reach > 0 else None
