"""Segments as a DICOM Segmentation (PS3.3 A.51): BINARY and uncompressed, the form that every viewer reads.

The segmentation lies on the grid of the source images, slice for slice, with the source's own positions:
viewers refuse or misplace anything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription

from radnode.pipelines.contract import ALGORITHM_FAMILIES
from radnode.pipelines.findings import Code
from radnode.pipelines.results.identity import MANUFACTURER
from radnode.pipelines.results.marking import concept, pydicom_code

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom import Dataset

    from radnode.pipelines.findings import Findings, Segment
    from radnode.pipelines.results.identity import Provenance
    from radnode.pipelines.results.normalise import SourceHeader
    from radnode.pipelines.results.writing import Writing

_ANATOMICAL_STRUCTURE = "91723000"


def write(writing: Writing) -> tuple[Dataset, ...]:
    """All segments of the findings in one instance; none when nothing was found, the report says so."""
    findings, source, provenance = writing.findings, writing.source, writing.provenance
    if not findings.segments:
        return ()
    result = Segmentation(
        source_images=list(source.slices),
        pixel_array=_pixels(findings, source),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _description(number, segment, provenance) for number, segment in enumerate(findings.segments, 1)
        ],
        content_label="SEGMENTATION",
        content_description=provenance.series_description("SEG"),
        content_creator_name=f"AI^{provenance.manifest.name}",
        **writing.common(),
    )
    if "RequestAttributesSequence" in source.common:
        result.RequestAttributesSequence = source.common.RequestAttributesSequence
    if "BodyPartExamined" in source.common:
        result.BodyPartExamined = source.common.BodyPartExamined
    writing.finish(result)
    _fix_dimension_uid(result, writing.uid("dimensions"))
    return (result,)


def _pixels(findings: Findings, source: SourceHeader) -> NDArray[np.uint8]:
    """The masks as highdicom wants them, planes in the order of the source images (or of the frames of one).

    A label array while no two segments overlap, since a stack of 50 segments of 300 slices would need 3.9 GB.
    """
    masks = [_in_frame_order(segment.mask, findings, source) for segment in findings.segments]
    labels = np.zeros(masks[0].shape, dtype=np.uint8)
    for number, mask in enumerate(masks, 1):
        if len(masks) > 255 or labels[mask].any():
            return np.stack(masks, axis=-1).astype(np.uint8)
        labels[mask] = number
    return labels


def _in_frame_order(mask: NDArray[np.bool_], findings: Findings, source: SourceHeader) -> NDArray[np.bool_]:
    """Planes of a volume cut from one multi-frame instance back at the places of their frames."""
    numbers = [frame.frame_number for frame in findings.grid.frames]
    if numbers[0] is None:
        return mask
    planes = np.zeros((int(source.slices[0].NumberOfFrames), *mask.shape[1:]), dtype=np.bool_)
    planes[[number - 1 for number in numbers if number is not None]] = mask
    return planes


def _description(number: int, segment: Segment, provenance: Provenance) -> SegmentDescription:
    manifest = provenance.manifest
    family = Code(ALGORITHM_FAMILIES[manifest.algorithm_family], "DCM", manifest.algorithm_family)
    is_organ = segment.category.value == _ANATOMICAL_STRUCTURE
    described = SegmentDescription(
        segment_number=number,
        segment_label=segment.label[:64],
        segmented_property_category=pydicom_code(segment.category),
        segmented_property_type=pydicom_code(segment.type),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=manifest.name, family=pydicom_code(family), version=manifest.version, source=MANUFACTURER
        ),
        tracking_uid=provenance.tracking_uid(segment.key),
        tracking_id=provenance.tracking_id(segment.key),
        # The place of an organ is the organ.
        anatomic_regions=[pydicom_code(segment.type)] if is_organ else None,
        display_color=_colour(segment.rgb),
    )
    if segment.laterality:
        _add_laterality(described, segment.laterality)
    return described


def _add_laterality(described: Any, laterality: Code) -> None:
    """CID 244 as modifier of the property type (PS3.3 C.8.20.2) and of the region."""
    property_type = described.SegmentedPropertyTypeCodeSequence[0]
    property_type.SegmentedPropertyTypeModifierCodeSequence = [concept(laterality)]
    for region in described.get("AnatomicRegionSequence", []):
        region.AnatomicRegionModifierSequence = [concept(laterality)]


def _colour(rgb: tuple[int, int, int]) -> CIELabColor:
    """PS3.3 C.10.7.1.1: recommended colours are CIELab with the D50 white point."""
    return CIELabColor.from_rgb(*rgb)


def _fix_dimension_uid(result: Dataset, uid: str) -> None:
    """highdicom draws the Dimension Organization UID (0020,9164) at random; ours is the same in every
    retry.
    """
    result.DimensionOrganizationSequence[0].DimensionOrganizationUID = uid
    for index in result.DimensionIndexSequence:
        index.DimensionOrganizationUID = uid
