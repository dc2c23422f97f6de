"""What the gate demands of a Key Object Selection: images that really carry the findings, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines.findings import InPatient
from radnode.pipelines.geometry import to_index
from radnode.pipelines.results.key_objects import OF_INTEREST, description

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydicom import Dataset

    from radnode.pipelines.findings import Findings
    from radnode.pipelines.results.writing import Writing

Fault = tuple[str, str]


def faults(results: Sequence[Dataset], writing: Writing) -> Iterator[Fault]:
    """(check, what is wrong) for everything that is."""
    findings = writing.findings
    expected = _expected(findings)
    if len(results) != bool(expected):
        yield "missing", f"{len(results)} selections for {len(expected)} images with findings"
        return
    for result in results:
        if result.ConceptNameCodeSequence[0].CodeValue != OF_INTEREST.value:
            yield "codes", "the selection has another title"
        images = [item for item in result.ContentSequence if item.get("ValueType") == "IMAGE"]
        named = [
            (str(each.ReferencedSOPInstanceUID), each.get("ReferencedFrameNumber"))
            for item in images for each in item.ReferencedSOPSequence
        ]
        if sorted(named, key=str) != sorted(expected, key=str):
            yield "reference", "the images are not those on which the findings are best seen"
        if any("ConceptNameCodeSequence" in item for item in images):
            yield "codes", "TID 2010 row 8 forbids a purpose of reference"
        texts = [str(item.TextValue) for item in result.ContentSequence if item.get("RelationshipType") == "CONTAINS"
                 and item.get("ValueType") == "TEXT"]
        if texts != [description(writing)]:
            yield "remarks", "the selection does not say what is on the images and that a machine chose them"
        listed = {
            str(instance.ReferencedSOPInstanceUID)
            for study in result.CurrentRequestedProcedureEvidenceSequence
            for series in study.ReferencedSeriesSequence for instance in series.ReferencedSOPSequence
        }
        if listed != {uid for uid, _ in expected}:
            yield "reference", "the evidence is not the images of the selection"


def _expected(findings: Findings) -> set[tuple[str, int | None]]:
    """The image of each finding, found without the writer's code."""
    found: set[tuple[str, int | None]] = set()
    for segment in findings.segments:
        stack = segment.voxels if segment.voxels.ndim == 3 else segment.voxels[np.newaxis]
        areas = [int(np.count_nonzero(plane == segment.value)) for plane in stack]
        frame = findings.frames_of(segment)[areas.index(max(areas))]
        found.add((frame.sop_instance_uid, frame.frame_number))
    for detection in findings.detections:
        if isinstance(detection.at, InPatient):
            index = to_index(findings.grid.affine, np.array([detection.at.center_lps]))[0, 0]
            frame = findings.grid.frames[int(np.clip(np.rint(index), 0, len(findings.grid.frames) - 1))]
            found.add((frame.sop_instance_uid, frame.frame_number))
        else:
            found.add((detection.at.sop_instance_uid, detection.at.frame_number))
    return found
