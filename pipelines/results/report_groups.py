"""Measurement groups of a TID 1500 report: one for each finding that has numbers, a place or an answer.

A segment of a volume is a volumetric group (TID 1411) that refers to the segmentation beside it; a detection is a
planar one (TID 1410); an answer about the study or an image, a segment of a projection image, and one without a
segmentation at the destination, is a group without a region (TID 1501).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from highdicom import sr

from radnode.pipelines.findings import STUDY, Classification, Code, Detection, Segment
from radnode.pipelines.results import placing
from radnode.pipelines.results.marking import pydicom_code

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydicom import Dataset

    from radnode.pipelines.findings import Composite, Findings, Measurement
    from radnode.pipelines.results.writing import Writing

CERTAINTY = Code("111012", "DCM", "Certainty of Finding")
PERCENT = Code("%", "UCUM", "Percent")
_BREAST = "76752008"


def volumetric(writing: Writing) -> Iterator[sr.ContentSequence]:
    """A group for each segment of the volume."""
    segmentation = writing.beside[0] if writing.beside else None
    for number, segment in enumerate(writing.findings.segments, 1):
        if segment.on is None:
            yield _volumetric(number, segment, writing, segmentation)


def planar(writing: Writing) -> Iterator[sr.ContentSequence]:
    """A group for each detection."""
    for detection in writing.findings.detections:
        yield _detected(detection, writing)


def about_the_study(writing: Writing) -> Iterator[sr.ContentSequence]:
    """A group for each composite, and for each answer about the study or a series."""
    findings = writing.findings
    for composite in findings.composites:
        yield sr.MeasurementsAndQualitativeEvaluations(
            _tracking(composite.key, writing),
            finding_type=pydicom_code(composite.type),
            measurements=_numbers(composite, findings),
            qualitative_evaluations=_answers(composite.key, findings),
        )
    for answer in _wholes(findings):
        if not _image_of(answer, writing):
            yield _answer(answer, writing)


def about_images(writing: Writing) -> Iterator[sr.ContentSequence]:
    """A group for each segment of a projection image, and for each answer about one image."""
    for segment in writing.findings.segments:
        if segment.on is not None:
            yield _on_projection(segment, writing)
    for answer in _wholes(writing.findings):
        if _image_of(answer, writing):
            yield _answer(answer, writing)


def _wholes(findings: Findings) -> list[Classification]:
    """The answers that are not about another finding, which has them in its own group."""
    return [each for each in findings.classifications if each.of == STUDY or "." in each.of]


def _image_of(answer: Classification, writing: Writing) -> list[Dataset]:
    return [header for header in writing.source.slices if header.SOPInstanceUID == answer.of]


def _volumetric(
    number: int, segment: Segment, writing: Writing, segmentation: Dataset | None
) -> sr.ContentSequence:
    findings = writing.findings
    said: dict[str, Any] = {
        "finding_type": pydicom_code(segment.type),
        "finding_sites": [_site(segment.site or segment.type, segment.laterality)],
        "measurements": _numbers(segment, findings),
        "qualitative_evaluations": _answers(segment.key, findings),
    }
    tracking = _tracking(segment.key, writing)
    if segmentation is None:
        return sr.MeasurementsAndQualitativeEvaluations(tracking, **said)
    referenced = sr.ReferencedSegment(
        sop_class_uid=segmentation.SOPClassUID,
        sop_instance_uid=segmentation.SOPInstanceUID,
        segment_number=number,
        source_series=sr.SourceSeriesForSegmentation(findings.grid.series_instance_uid),
    )
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(tracking, referenced_segment=referenced, **said)


def _detected(detection: Detection, writing: Writing) -> sr.ContentSequence:
    findings = writing.findings
    placed = placing.place(detection, findings)
    region = sr.ImageRegion(
        graphic_type=sr.GraphicTypeValues.POINT if placed.is_point else sr.GraphicTypeValues.POLYLINE,
        graphic_data=placed.points,
        source_image=sr.SourceImageForRegion(
            placed.image.sop_class_uid, placed.image.sop_instance_uid,
            referenced_frame_numbers=[placed.image.frame_number] if placed.image.frame_number else None,
        ),
    )
    described = [sr.QualitativeEvaluation(pydicom_code(name), pydicom_code(value))
                 for name, value in detection.descriptors]
    sites = [_site(detection.site, detection.laterality)] if detection.site else None
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        _tracking(detection.key, writing),
        referenced_region=region,
        finding_type=pydicom_code(detection.type),
        finding_sites=sites,
        measurements=_numbers(detection, findings),
        qualitative_evaluations=[*described, *(_answers(detection.key, findings) or [])] or None,
    )


def _on_projection(segment: Segment, writing: Writing) -> sr.ContentSequence:
    """Its image, and by the tracking UID its segment; a frame of a label map could not tell which segment is meant."""
    findings = writing.findings
    frames = [image.frame_number for image, _ in findings.planes_of(segment) if image.frame_number is not None]
    source = next(image for image, _ in findings.planes_of(segment))
    return sr.MeasurementsAndQualitativeEvaluations(
        _tracking(segment.key, writing),
        finding_type=pydicom_code(segment.type),
        finding_sites=[_site(segment.site or segment.type, segment.laterality)],
        measurements=_numbers(segment, findings),
        qualitative_evaluations=_answers(segment.key, findings),
        source_images=[sr.SourceImageForMeasurementGroup(
            source.sop_class_uid, source.sop_instance_uid, referenced_frame_numbers=frames or None
        )],
    )


def _answer(answer: Classification, writing: Writing) -> sr.ContentSequence:
    images = [
        sr.SourceImageForMeasurementGroup(
            header.SOPClassUID, header.SOPInstanceUID,
            referenced_frame_numbers=None if answer.frame_number is None else [answer.frame_number],
        )
        for header in _image_of(answer, writing)
    ]
    site = Code(_BREAST, "SCT", "Breast") if _about_a_breast(writing) else None
    certain = [_number(CERTAINTY, 100 * answer.certainty, PERCENT)] if answer.certainty is not None else None
    return sr.MeasurementsAndQualitativeEvaluations(
        _tracking(answer.key, writing),
        finding_sites=[_site(site, answer.laterality)] if site and answer.laterality else None,
        measurements=certain,
        qualitative_evaluations=[sr.QualitativeEvaluation(pydicom_code(answer.name), pydicom_code(answer.value))],
        source_images=images or None,
    )


def _about_a_breast(writing: Writing) -> bool:
    return str(writing.source.common.get("Modality")) == "MG"


def _tracking(key: str, writing: Writing) -> sr.TrackingIdentifier:
    return sr.TrackingIdentifier(
        uid=writing.provenance.tracking_uid(key), identifier=writing.provenance.tracking_id(key)
    )


def _site(site: Code, laterality: Code | None) -> sr.FindingSite:
    return sr.FindingSite(
        anatomic_location=pydicom_code(site), laterality=pydicom_code(laterality) if laterality else None
    )


def _numbers(of: Segment | Detection | Composite, findings: Findings) -> list[sr.Measurement]:
    """Its measurements, then how certain it is."""
    taken = [_measurement(each) for each in findings.measurements if each.of == of.key]
    if of.certainty is not None:
        taken.append(_number(CERTAINTY, 100 * of.certainty, PERCENT))
    return taken


def _measurement(measured: Measurement) -> sr.Measurement:
    return _number(measured.name, measured.value, measured.unit, measured.method)


def _number(name: Code, value: float, unit: Code, method: Code | None = None) -> sr.Measurement:
    return sr.Measurement(
        name=pydicom_code(name), value=value, unit=pydicom_code(unit),
        derivation=pydicom_code(method) if method else None,
    )


def _answers(key: str, findings: Findings) -> Sequence[sr.QualitativeEvaluation] | None:
    """What the findings answer about another finding."""
    answers = [sr.QualitativeEvaluation(pydicom_code(each.name), pydicom_code(each.value))
               for each in findings.classifications if each.of == key]
    return answers or None

