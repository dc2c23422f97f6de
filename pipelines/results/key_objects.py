"""Key Object Selection (TID 2010): the images on which findings are best seen, for a viewer's list of key images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import KeyObjectSelectionDocumentStorage

from radnode.pipelines.findings import Code
from radnode.pipelines.results import cad_report as cad
from radnode.pipelines.results import content_tree as tree
from radnode.pipelines.results import placing
from radnode.pipelines.results.identity import MANUFACTURER
from radnode.pipelines.results.marking import requests
from radnode.pipelines.results.plain import base

if TYPE_CHECKING:
    from radnode.pipelines.findings import Findings
    from radnode.pipelines.geometry import SourceFrame
    from radnode.pipelines.results.writing import Writing

OF_INTEREST = Code("113000", "DCM", "Of Interest")
DESCRIPTION = Code("113012", "DCM", "Key Object Description")
_OBSERVER_TYPE, _DEVICE = Code("121005", "DCM", "Observer Type"), Code("121007", "DCM", "Device")
_OBSERVER_UID = Code("121012", "DCM", "Device Observer UID")
_OBSERVER_NAME = Code("121013", "DCM", "Device Observer Name")


def write(writing: Writing) -> tuple[Dataset, ...]:
    """One selection; none when nothing was found."""
    chosen = key_images(writing.findings)
    if not chosen:
        return ()
    root = tree.container("", OF_INTEREST).add(
        tree.code(cad.CONCEPT_MOD, cad.LANGUAGE, cad.ENGLISH),
        tree.code(cad.OBS_CONTEXT, _OBSERVER_TYPE, _DEVICE),
        tree.uid(cad.OBS_CONTEXT, _OBSERVER_UID, writing.provenance.node_uid),
        tree.text(cad.OBS_CONTEXT, _OBSERVER_NAME, MANUFACTURER),
        tree.text(cad.CONTAINS, DESCRIPTION, description(writing)),
        *(tree.image(cad.CONTAINS, image) for image in chosen),
    )
    result = base(writing, KeyObjectSelectionDocumentStorage, "KO")
    result.ContentDate, result.ContentTime = result.SeriesDate, result.SeriesTime
    result.ReferencedPerformedProcedureStepSequence = []
    if asked := requests(writing.source):
        result.ReferencedRequestSequence = asked
    result.CurrentRequestedProcedureEvidenceSequence = [cad.evidence(writing, list(chosen))]
    result.update(tree.encode(root))
    identification = Dataset()
    identification.MappingResource, identification.TemplateIdentifier = "DCMR", "2010"
    result.ContentTemplateSequence = [identification]
    return (result,)


def key_images(findings: Findings) -> dict[SourceFrame, list[str]]:
    """Image -> what is best seen on it: the largest section of each segment, the image of each detection.

    In the order of the images.
    """
    frames = findings.volume.frames if findings.volume is not None else [each.source for each in findings.projections]
    seen: dict[SourceFrame, list[str]] = {}
    for segment in findings.segments:
        largest, _ = max(findings.planes_of(segment), key=lambda each: np.count_nonzero(each[1]))
        seen.setdefault(largest, []).append(segment.label)
    for detection in findings.detections:
        seen.setdefault(placing.place(detection, findings).image, []).append(detection.label)
    return {frame: seen[frame] for frame in frames if frame in seen}


def description(writing: Writing) -> str:
    """What is on the images, in their order, and that a machine chose them."""
    shown = "; ".join(", ".join(labels) for labels in key_images(writing.findings).values())
    qualification = writing.provenance.order.content_qualification
    return f"Chosen by AI ({writing.provenance.manifest.title}), {qualification}, not verified by a person: {shown}."
