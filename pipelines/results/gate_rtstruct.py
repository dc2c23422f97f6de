"""What the gate demands of an RT Structure Set: the voxels of the findings inside its contours, on its images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines.geometry import to_index
from radnode.pipelines.results.filling import filled
from radnode.pipelines.results.structure_names import description, interpreted_type, structure_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from pydicom import Dataset

    from radnode.pipelines.findings import Findings, Segment
    from radnode.pipelines.geometry import Volume
    from radnode.pipelines.results.writing import Writing

Fault = tuple[str, str]

# How far a contour may lie from the plane of its image, in slices: planning systems drop those that are further.
_OFF_PLANE = 0.01


def faults(results: Sequence[Dataset], writing: Writing) -> Iterator[Fault]:
    """(check, what is wrong) for everything that is."""
    findings = writing.findings
    if findings.volume is None or not findings.segments:
        if results:
            yield "segments", "a structure set without a segment of a volume"
        return
    if len(results) != 1:
        yield "missing", f"{len(results)} structure sets, expected one"
        return
    result = results[0]
    if result.get("ApprovalStatus") != "UNAPPROVED":
        yield "verification", "the contours are not marked as unapproved; no person has seen them"
    if result.get("StructureSetDescription") != description(findings):
        yield "missing", "the structure set does not say who drew it and what of the protocol is missing"
    yield from _regions(result, findings)
    for number, segment in enumerate(findings.segments, 1):
        contours = [item for item in result.ROIContourSequence if int(item.ReferencedROINumber) == number]
        if len(contours) != 1:
            yield "segments", f"{segment.key} has {len(contours)} sets of contours"
            continue
        yield from _voxels(contours[0], segment, writing)
    yield from _referenced(result, findings)


def _regions(result: Dataset, findings: Findings) -> Iterator[Fault]:
    frame = findings.grid.frame_of_reference_uid
    frames = {str(item.ReferencedFrameOfReferenceUID) for item in result.StructureSetROISequence}
    frames.add(str(result.FrameOfReferenceUID))
    if frames != {frame}:
        yield "frame of reference", "differs from the images'"
    names = [(int(item.ROINumber), str(item.ROIName)) for item in result.StructureSetROISequence]
    if names != list(enumerate(structure_names(findings.segments), 1)):
        yield "segments", "the names or numbers of the regions are not those of the findings"
    if {str(item.ROIGenerationAlgorithm) for item in result.StructureSetROISequence} != {"AUTOMATIC"}:
        yield "segments", "a region does not say that a machine drew it"
    observed = [
        (int(item.ReferencedROINumber), str(item.RTROIInterpretedType),
         str(item.RTROIIdentificationCodeSequence[0].CodeValue))
        for item in result.RTROIObservationsSequence
    ]
    meant = [(number, interpreted_type(each), each.type.value) for number, each in enumerate(findings.segments, 1)]
    if observed != meant:
        yield "codes", "what the regions are is not what the findings say"


def _voxels(contours: Dataset, segment: Segment, writing: Writing) -> Iterator[Fault]:
    """Every contour in the plane of the image it names, and together exactly the mask."""
    volume = writing.findings.grid
    planes = _planes(writing, volume)
    places = {(frame.sop_instance_uid, frame.frame_number): place for place, frame in enumerate(volume.frames)}
    rings: dict[int, list[NDArray[np.float64]]] = {}
    for contour in contours.ContourSequence:
        points = np.array(contour.ContourData, dtype=np.float64).reshape(-1, 3)
        if contour.ContourGeometricType != "CLOSED_PLANAR" or len(points) < 3:
            yield "geometry", f"{segment.key}: a contour that encloses nothing"
            return
        if len(points) != int(contour.NumberOfContourPoints):
            yield "encoding", f"{segment.key}: a contour of {len(points)} points says it has another number"
            return
        image = contour.ContourImageSequence[0]
        number = image.get("ReferencedFrameNumber")
        place = places.get((str(image.ReferencedSOPInstanceUID), None if number is None else int(number)))
        index = to_index(volume.affine, points)
        if place is None or np.abs(index[:, 0] - planes[place]).max() > _OFF_PLANE:
            yield "geometry", f"{segment.key}: a contour does not lie on the image it names"
            return
        rings.setdefault(place, []).append(index[:, [2, 1]] + 0.5)
    mask = segment.mask
    shape = (mask.shape[1], mask.shape[2])
    wrong = sum(int(np.count_nonzero(filled(found, shape) != mask[place])) for place, found in rings.items())
    missing = [place for place in np.flatnonzero(mask.any(axis=(1, 2))).tolist() if place not in rings]
    if wrong or missing:
        yield "voxels", f"{segment.key}: {wrong} voxels differ, {len(missing)} slices have no contour"


def _planes(writing: Writing, volume: Volume) -> NDArray[np.float64]:
    """Where each image says it lies, in slices: next to its regular place in the volume, not always in it."""
    headers = {str(header.SOPInstanceUID): header for header in writing.source.slices}
    positions = []
    for frame in volume.frames:
        header = headers[frame.sop_instance_uid]
        if frame.frame_number is not None:
            header = header.PerFrameFunctionalGroupsSequence[frame.frame_number - 1].PlanePositionSequence[0]
        positions.append([float(value) for value in header.ImagePositionPatient])
    return to_index(volume.affine, np.array(positions))[:, 0]


def _referenced(result: Dataset, findings: Findings) -> Iterator[Fault]:
    """Viewers find the series through frame of reference, study and series; every image of it is listed."""
    listed = {
        str(image.ReferencedSOPInstanceUID)
        for frame in result.ReferencedFrameOfReferenceSequence
        for study in frame.RTReferencedStudySequence
        for series in study.RTReferencedSeriesSequence
        if str(series.SeriesInstanceUID) == findings.grid.series_instance_uid
        for image in series.ContourImageSequence
    }
    if listed != {frame.sop_instance_uid for frame in findings.grid.frames}:
        yield "reference", "the images listed are not those of the volume"
