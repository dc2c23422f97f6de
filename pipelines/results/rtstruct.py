"""Segments as an RT Structure Set (PS3.3 A.19): closed planar contours on the source's own slices.

Holes are joined to their outside by keyholes, because readers fill an inner ring (PS3.3 C.8.8.6.3). Written in
Implicit VR: one long contour would not fit the 64 KiB that an explicit VR allows a decimal string.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage

from radnode.pipelines.results import segmentation_frames
from radnode.pipelines.results.contours import keyholed
from radnode.pipelines.results.marking import concept
from radnode.pipelines.results.plain import base, reference
from radnode.pipelines.results.structure_names import description, interpreted_type, structure_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from radnode.pipelines.findings import Segment
    from radnode.pipelines.geometry import SourceFrame, Volume
    from radnode.pipelines.results.writing import Writing

_CONTOUR_DATA = Tag("ContourData")
_STUDY_COMPONENT = "1.2.840.10008.3.1.2.3.1"


def write(writing: Writing) -> tuple[Dataset, ...]:
    """All segments of the volume as one structure set; none when there is no segment."""
    findings = writing.findings
    if findings.volume is None or not findings.segments:
        return ()
    volume, manifest = findings.grid, writing.provenance.manifest
    result = base(writing, RTStructureSetStorage, "RTSTRUCT", syntax=ImplicitVRLittleEndian)
    result.OperatorsName = ""
    result.StructureSetLabel = f"AI {manifest.name}"[:16]
    result.StructureSetName = writing.provenance.series_description("RTSTRUCT")
    result.StructureSetDescription = description(findings)
    result.StructureSetDate, result.StructureSetTime = result.SeriesDate, result.SeriesTime
    result.FrameOfReferenceUID = volume.frame_of_reference_uid
    result.PositionReferenceIndicator = writing.source.common.get("PositionReferenceIndicator", "")
    result.ReferencedFrameOfReferenceSequence = [_frame_of_reference(writing, volume)]
    names = structure_names(findings.segments)
    regions = [_region(number, segment, names[number - 1], writing, volume)
               for number, segment in enumerate(findings.segments, 1)]
    result.StructureSetROISequence = regions
    result.ROIContourSequence = [_contours(number, segment, writing, volume)
                                 for number, segment in enumerate(findings.segments, 1)]
    result.RTROIObservationsSequence = [_observation(number, segment) for number, segment in
                                        enumerate(findings.segments, 1)]
    result.ApprovalStatus = "UNAPPROVED"
    return (result,)


def _frame_of_reference(writing: Writing, volume: Volume) -> Dataset:
    """Frame of reference, study, series and images: viewers find the series by following them all."""
    series = Dataset()
    series.SeriesInstanceUID = volume.series_instance_uid
    named = dict.fromkeys((frame.sop_class_uid, frame.sop_instance_uid) for frame in volume.frames)
    series.ContourImageSequence = [reference(*each) for each in named]
    study = reference(_STUDY_COMPONENT, str(writing.source.common.StudyInstanceUID))
    study.RTReferencedSeriesSequence = [series]
    frame = Dataset()
    frame.FrameOfReferenceUID = volume.frame_of_reference_uid
    frame.RTReferencedStudySequence = [study]
    return frame


def _region(number: int, segment: Segment, name: str, writing: Writing, volume: Volume) -> Dataset:
    manifest = writing.provenance.manifest
    item = Dataset()
    item.ROINumber = number
    item.ReferencedFrameOfReferenceUID = volume.frame_of_reference_uid
    item.ROIName = name
    item.ROIDescription = f"{segment.label}; {writing.provenance.order.content_qualification}"[:1024]
    item.ROIGenerationAlgorithm = "AUTOMATIC"
    item.ROIGenerationDescription = f"{manifest.name} {manifest.version}"[:64]
    return item


def _observation(number: int, segment: Segment) -> Dataset:
    """What the region is. Never a target: that is for a physician to say."""
    item = Dataset()
    item.ObservationNumber = item.ReferencedROINumber = number
    item.ROIObservationLabel = segment.label[:16]
    code = concept(segment.type)
    if segment.laterality is not None:
        code.SegmentedPropertyTypeModifierCodeSequence = [concept(segment.laterality)]
    item.RTROIIdentificationCodeSequence = [code]
    item.RTROIInterpretedType = interpreted_type(segment)
    item.ROIInterpreter = ""
    return item


def _contours(number: int, segment: Segment, writing: Writing, volume: Volume) -> Dataset:
    item = Dataset()
    item.ReferencedROINumber = number
    item.ROIDisplayColor = list(segment.rgb)
    (slices,) = segmentation_frames.slices_of([segment])
    headers = {str(header.SOPInstanceUID): header for header in writing.source.slices}
    contours: list[Dataset] = []
    for index in slices:
        frame = volume.frames[index]
        position = segmentation_frames.position_digits(headers[frame.sop_instance_uid], frame).split("\\")
        for ring in keyholed(segmentation_frames.plane_of(segment, int(index))):
            contours.append(_contour(len(contours) + 1, _straight(ring), frame, position, volume))
    item.ContourSequence = Items(contours)
    return item


def _contour(
    number: int, ring: NDArray[np.float64], frame: SourceFrame, position: list[str], volume: Volume
) -> Dataset:
    item = Dataset()
    item.ContourImageSequence = [reference(frame.sop_class_uid, frame.sop_instance_uid, frame.frame_number)]
    item.ContourGeometricType = "CLOSED_PLANAR"
    item.NumberOfContourPoints = len(ring)
    item.ContourNumber = number
    columns = list(_digits(ring, position, volume))
    said = "\\".join("\\".join(point) for point in zip(*columns, strict=True)).encode("ascii")
    said += b" " * (len(said) % 2)
    item[_CONTOUR_DATA] = RawDataElement(_CONTOUR_DATA, "DS", len(said), said, 0, True, True)
    item.set_original_encoding(True, True, item._character_set)
    return item


def _digits(ring: NDArray[np.float64], position: list[str], volume: Volume) -> Iterator[list[str]]:
    """x, y and z of each point, LPS millimetres.

    Where a coordinate is the same all over the slice it is spelled as in the image: viewers match slices by it.
    """
    row, column = ring[:, 1] - 0.5, ring[:, 0] - 0.5
    for axis in range(3):
        along_rows, along_columns = volume.affine[axis, 1], volume.affine[axis, 2]
        if along_rows == 0 and along_columns == 0:
            yield [position[axis]] * len(ring)
        else:
            values = float(position[axis]) + row * along_rows + column * along_columns
            yield [f"{value:.5f}" for value in values.tolist()]


def _straight(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without the points in the middle of a straight line; exact, since all points lie on half pixels."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    # A cut to a hole runs there and back along one line: its ends are no turn, but they must stay.
    reverses = (before * after).sum(axis=1) < 0
    return np.asarray(ring[turns | reverses])
