"""What Mammography and Chest CAD SR have in common: images, algorithms, places, and what was looked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset

from radnode.pipelines.findings import Code, Rendering
from radnode.pipelines.results import content_tree as tree
from radnode.pipelines.results import placing
from radnode.pipelines.results.marking import requests
from radnode.pipelines.results.plain import base, reference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from radnode.pipelines.findings import Composite, Detection
    from radnode.pipelines.geometry import SourceFrame
    from radnode.pipelines.results.content_tree import Item
    from radnode.pipelines.results.writing import Writing

CONCEPT_MOD, OBS_CONTEXT, ACQ_CONTEXT = "HAS CONCEPT MOD", "HAS OBS CONTEXT", "HAS ACQ CONTEXT"
PROPERTIES, CONTAINS, INFERRED = "HAS PROPERTIES", "CONTAINS", "INFERRED FROM"

LANGUAGE = Code("121049", "DCM", "Language of Content Item and Descendants")
ENGLISH = Code("en", "RFC5646", "English")
IMAGE_LIBRARY = Code("111028", "DCM", "Image Library")
SUMMARY = Code("111017", "DCM", "CAD Processing and Findings Summary")
SINGLE_IMAGE_FINDING = Code("111059", "DCM", "Single Image Finding")
COMPOSITE_FEATURE = Code("111015", "DCM", "Composite Feature")
COMPOSITE_TYPE = Code("111016", "DCM", "Composite Type")
SCOPE = Code("111057", "DCM", "Scope of Feature")
RENDERING_INTENT = Code("111056", "DCM", "Rendering Intent")
CENTER, OUTLINE = Code("111010", "DCM", "Center"), Code("111041", "DCM", "Outline")
CERTAINTY_OF_FINDING = Code("111012", "DCM", "Certainty of Finding")
CERTAINTY_OF_FEATURE = Code("111011", "DCM", "Certainty of Feature")
PROBABILITY_OF_CANCER = Code("111047", "DCM", "Probability of cancer")
ALGORITHM_NAME, ALGORITHM_VERSION = Code("111001", "DCM", "Algorithm Name"), Code("111003", "DCM", "Algorithm Version")
TRACKING_ID = Code("112039", "DCM", "Tracking Identifier")
TRACKING_UID = Code("112040", "DCM", "Tracking Unique Identifier")
DETECTIONS, ANALYSES = Code("111064", "DCM", "Summary of Detections"), Code("111065", "DCM", "Summary of Analyses")
SUCCESSFUL_DETECTIONS = Code("111063", "DCM", "Successful Detections")
FAILED_DETECTIONS = Code("111025", "DCM", "Failed Detections")
DETECTION_PERFORMED = Code("111022", "DCM", "Detection Performed")
SUCCEEDED, PARTIALLY = Code("111222", "DCM", "Succeeded"), Code("111223", "DCM", "Partially Succeeded")
FAILED, NOT_ATTEMPTED = Code("111224", "DCM", "Failed"), Code("111225", "DCM", "Not Attempted")
PERCENT, MM = Code("%", "UCUM", "Percent"), Code("mm", "UCUM", "millimeter")

# CID 6034
INTENTS = {
    Rendering.REQUIRED: Code("111150", "DCM", "Presentation Required: Rendering device is expected to present"),
    Rendering.OPTIONAL: Code("111151", "DCM", "Presentation Optional: Rendering device may present"),
    Rendering.NOT_SHOWN: Code(
        "111152", "DCM", "Not for Presentation: Rendering device expected not to present"
    ),
}


def document(writing: Writing, sop_class_uid: str, template: str, root: Item, images: Sequence[SourceFrame]) -> Dataset:
    """The report around a content tree; every image of it is listed as evidence (PS3.3 C.17.2)."""
    result = base(writing, sop_class_uid, "SR")
    result.ContentDate, result.ContentTime = result.SeriesDate, result.SeriesTime
    result.ReferencedPerformedProcedureStepSequence = []
    result.PerformedProcedureCodeSequence = []
    if asked := requests(writing.source):
        result.ReferencedRequestSequence = asked
    result.CompletionFlag, result.VerificationFlag, result.PreliminaryFlag = "COMPLETE", "UNVERIFIED", "PRELIMINARY"
    result.CurrentRequestedProcedureEvidenceSequence = [evidence(writing, images)]
    result.update(tree.encode(root))
    identification = Dataset()
    identification.MappingResource, identification.TemplateIdentifier = "DCMR", template
    result.ContentTemplateSequence = [identification]
    return result


def evidence(writing: Writing, images: Sequence[SourceFrame]) -> Dataset:
    """The study, series and instances of these images, as an item of an evidence sequence."""
    by_series: dict[str, dict[str, str]] = {}
    for image in images:
        series = writing.source.instances[image.sop_instance_uid]
        by_series.setdefault(series, {})[image.sop_instance_uid] = image.sop_class_uid
    study = Dataset()
    study.StudyInstanceUID = writing.source.common.StudyInstanceUID
    study.ReferencedSeriesSequence = []
    for series_uid, named in by_series.items():
        item = Dataset()
        item.SeriesInstanceUID = series_uid
        item.ReferencedSOPSequence = [reference(sop_class, instance) for instance, sop_class in named.items()]
        study.ReferencedSeriesSequence.append(item)
    return study


def acquisition(
    header: Dataset, spacing: tuple[float, float] | None, orientation: tuple[str, str] | None
) -> list[Item]:
    """TID 4020: how the image lies, when it was made, and how fine it is. spacing: between rows, between columns."""
    said = []
    if orientation is not None:
        said += [tree.text(ACQ_CONTEXT, Code("111044", "DCM", "Patient Orientation Row"), orientation[0]),
                 tree.text(ACQ_CONTEXT, Code("111043", "DCM", "Patient Orientation Column"), orientation[1])]
    for kind, value, keyword, meaning in (
        (tree.date, "111060", "StudyDate", "Study Date"), (tree.time, "111061", "StudyTime", "Study Time"),
        (tree.date, "111018", "ContentDate", "Content Date"), (tree.time, "111019", "ContentTime", "Content Time"),
    ):
        if header.get(keyword):
            said.append(kind(ACQ_CONTEXT, Code(value, "DCM", meaning), str(header[keyword].value)))
    if spacing is not None:
        said += [tree.number(ACQ_CONTEXT, Code("111026", "DCM", "Horizontal Pixel Spacing"), spacing[1], MM),
                 tree.number(ACQ_CONTEXT, Code("111066", "DCM", "Vertical Pixel Spacing"), spacing[0], MM)]
    return said


def algorithm(writing: Writing, relationship: str) -> list[Item]:
    """TID 4019."""
    manifest = writing.provenance.manifest
    return [tree.text(relationship, ALGORITHM_NAME, manifest.name),
            tree.text(relationship, ALGORITHM_VERSION, manifest.version)]


def tracking(writing: Writing, key: str) -> list[Item]:
    """TID 4108: the same identity in every form."""
    return [tree.text(OBS_CONTEXT, TRACKING_ID, writing.provenance.tracking_id(key)),
            tree.uid(OBS_CONTEXT, TRACKING_UID, writing.provenance.tracking_uid(key))]


def intent(rendering: Rendering) -> Item:
    """CID 6034."""
    return tree.code(CONCEPT_MOD, RENDERING_INTENT, INTENTS[rendering])


def certainty(of: Detection | Composite, name: Code) -> list[Item]:
    """In percent, as the templates want it."""
    return [] if of.certainty is None else [tree.number(PROPERTIES, name, 100 * of.certainty, PERCENT)]


def probability_of_cancer(writing: Writing, key: str) -> list[Item]:
    """A measurement of that name; a share is written in percent."""
    return [
        tree.number(PROPERTIES, PROBABILITY_OF_CANCER, each.value * (1 if each.unit.value == "%" else 100), PERCENT)
        for each in writing.findings.measurements
        if each.of == key and each.name.value == PROBABILITY_OF_CANCER.value
    ]


def place(writing: Writing, detection: Detection, library: Mapping[tuple[str, int | None], Item]) -> list[Item]:
    """TID 4021: the centre, and the outline closed by its first point."""
    placed = placing.place(detection, writing.findings)
    on = library[placed.image.sop_instance_uid, placed.image.frame_number]
    center = placed.points if placed.is_point else np.array([center_of(detection, writing)])
    said = [tree.coordinates(PROPERTIES, CENTER, "POINT", center, on)]
    if not placed.is_point:
        said.append(tree.coordinates(PROPERTIES, OUTLINE, "POLYLINE", placed.points, on))
    return said


def center_of(detection: Detection, writing: Writing) -> tuple[float, float]:
    """The centre that the detection names, or the middle of its box on the nearest slice; pixel coordinates."""
    center = getattr(detection.at, "center", None)
    if center is not None:
        return float(center[0]), float(center[1])
    corners = placing.place(detection, writing.findings).points[:-1]
    return float(corners[:, 0].mean()), float(corners[:, 1].mean())


def detections_performed(writing: Writing, library: Mapping[tuple[str, int | None], Item]) -> Item:
    """What was looked for, and whether that succeeded, each with the images it was looked for on."""
    findings = writing.findings
    done: list[tuple[Code, list[Item]]] = []
    undone: list[tuple[Code, list[Item]]] = []
    for what in findings.looked_for:
        failed = {failure.on for failure in findings.failures if failure.what == what}
        without = [image for (uid, _), image in library.items() if failed & {None, uid}]
        with_answer = [image for image in library.values() if image not in without]
        if without or None in failed:
            undone.append((what, without))
        if with_answer or not (library or failed):
            done.append((what, with_answer))
    outcome = SUCCEEDED if not undone else PARTIALLY if done else FAILED
    summary = tree.code(CONTAINS, DETECTIONS, outcome)
    for heading, performed in ((SUCCESSFUL_DETECTIONS, done), (FAILED_DETECTIONS, undone)):
        if performed:
            summary.add(tree.container(INFERRED, heading).add(*(
                tree.code(CONTAINS, DETECTION_PERFORMED, what)
                .add(*algorithm(writing, PROPERTIES), *(tree.refer(PROPERTIES, image) for image in on))
                for what, on in performed
            )))
    return summary
