"""Segments as DICOM Segmentations (PS3.3 A.51): on the grid of the source images, with the source's own positions.

Three encodings. BINARY, uncompressed, is the one that every viewer reads. A Label Map Segmentation with run-length
coding is up to sixty times smaller, and its size does not grow with the number of segments. FRACTIONAL holds
probability maps. highdicom makes the header from one small plane; the frames are written in bulk, because its cost is
in the metadata of each frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    Segmentation,
    SegmentationFractionalTypeValues,
    SegmentationTypeValues,
    SegmentDescription,
)
from pydicom import DataElement, Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.uid import RLELossless, VLPhotographicImageStorage

from radnode.pipelines.contract import ALGORITHM_FAMILIES
from radnode.pipelines.findings import Code, Map, MapKind
from radnode.pipelines.results import explicit_vr
from radnode.pipelines.results import segmentation_frames as frames
from radnode.pipelines.results.identity import MANUFACTURER
from radnode.pipelines.results.marking import concept, pydicom_code

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from radnode.pipelines.findings import Segment
    from radnode.pipelines.geometry import SourceFrame
    from radnode.pipelines.results.identity import Provenance
    from radnode.pipelines.results.writing import Writing

LABEL_MAP_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"
_ANATOMICAL_STRUCTURE = "91723000"
# A probability is stored as a whole number from 0 to this.
MAXIMUM_FRACTIONAL_VALUE = 255


def write_binary(writing: Writing) -> tuple[Dataset, ...]:
    """All segments of the volume in one instance, or one instance for each projection image that has segments.

    None when nothing was found, since a segmentation without a segment is not valid; the report says so.
    """
    if writing.findings.volume is None:
        return _on_projections(writing, SegmentationTypeValues.BINARY)
    segments = writing.findings.segments
    if not segments:
        return ()
    slices = frames.slices_of(segments)
    places = frames.places(writing.findings.grid, writing.source)
    shown = [
        (number, segment, int(index))
        for number, (segment, found) in enumerate(zip(segments, slices, strict=True), 1)
        for index in found[np.argsort([places[index].rank for index in found])]
    ]
    result = _header(writing, SegmentationTypeValues.BINARY, _descriptions(segments, writing.provenance))
    result.SegmentsOverlap = "YES" if frames.overlapping(segments, slices) else "NO"
    _set_frames(
        result, writing, [(places[index], number) for number, _, index in shown],
        frames.packed(frames.plane_of(segment, index) for _, segment, index in shown),
    )
    return (result,)


def write_label_map(writing: Writing) -> tuple[Dataset, ...]:
    """As :func:`write_binary`, in one label map; segments that overlap have none and are written as BINARY."""
    if writing.findings.volume is None:
        return _on_projections(writing, SegmentationTypeValues.LABELMAP)
    segments = writing.findings.segments
    if not segments:
        return ()
    slices = frames.slices_of(segments)
    if frames.overlapping(segments, slices):
        return write_binary(writing)
    found = np.concatenate(slices)
    # Every slice between the first and the last, so that the frames are a gap-free stack.
    shown = range(int(found.min()), int(found.max()) + 1)
    places = frames.places(writing.findings.grid, writing.source)
    if places[0].rank > places[-1].rank:
        shown = shown[::-1]
    result = _header(writing, SegmentationTypeValues.LABELMAP, _descriptions(segments, writing.provenance))
    result.pop("DimensionOrganizationType", None)
    planes = frames.label_planes(segments, shown, writing.findings.grid.voxels.shape[1:])
    _set_frames(
        result, writing, [(places[index], None) for index in shown], frames.run_length_encoded(planes), compressed=True
    )
    return (result,)


def write_fractional(writing: Writing) -> tuple[Dataset, ...]:
    """The probability maps of the volume, each as one segment; none when there is no such map."""
    maps = [each for each in writing.findings.maps if each.kind is MapKind.PROBABILITY and each.on is None]
    if writing.findings.volume is None or not maps:
        return ()
    places = frames.places(writing.findings.grid, writing.source)
    order = sorted(range(len(places)), key=lambda index: places[index].rank)
    stored = [np.rint(each.values * MAXIMUM_FRACTIONAL_VALUE).astype(np.uint8) for each in maps]
    shown = [
        (number, values[index], places[index])
        for number, values in enumerate(stored, 1) for index in order if values[index].any()
    ]
    if not shown:
        return ()
    result = _header(writing, SegmentationTypeValues.FRACTIONAL, _descriptions(maps, writing.provenance))
    content = b"".join(plane.tobytes() for _, plane, _ in shown)
    _set_frames(
        result, writing, [(place, number) for number, _, place in shown], content + b"\0" * (len(content) % 2)
    )
    return (result,)


def _header(
    writing: Writing,
    kind: SegmentationTypeValues,
    descriptions: Sequence[SegmentDescription],
) -> Segmentation:
    """Everything but the frames: highdicom's segmentation of one slice, on which each segment has one pixel."""
    source = writing.source
    first = source.slices[0]
    planes = np.zeros((int(first.get("NumberOfFrames", 1)), int(first.Rows), int(first.Columns)), dtype=np.uint16)
    planes[0].flat[: len(descriptions)] = np.arange(1, len(descriptions) + 1)
    result = _highdicom(writing, kind, descriptions, [first], planes)
    volume = writing.findings.grid
    normal = np.cross(volume.affine[:3, 2], volume.affine[:3, 1])
    between = abs(float(volume.affine[:3, 0] @ normal) / float(np.linalg.norm(normal)))
    shared = result.SharedFunctionalGroupsSequence[0]
    shared.PixelMeasuresSequence[0].SpacingBetweenSlices = round(between, 6)
    # A single segment stands there; the frames name it themselves.
    shared.pop("SegmentIdentificationSequence", None)
    _name_sources(result, volume.frames, volume.series_instance_uid)
    return result


def _name_sources(result: Dataset, sources: Iterable[SourceFrame], series_instance_uid: str) -> None:
    named = frames.references(sources)
    explicit_vr.set_sequence(result, "SourceImageSequence", named)
    explicit_vr.set_sequence(result, "ReferencedSeriesSequence", [explicit_vr.item(
        explicit_vr.sequence("ReferencedInstanceSequence", *named),
        explicit_vr.element("SeriesInstanceUID", series_instance_uid),
    )])


def _highdicom(
    writing: Writing,
    kind: SegmentationTypeValues,
    descriptions: Sequence[SegmentDescription],
    images: list[Dataset],
    planes: NDArray[Any],
    number: int = 1,
) -> Segmentation:
    """A segmentation by highdicom, finished as every result is. planes: label array (planes, rows, columns)."""
    fractional = kind is SegmentationTypeValues.FRACTIONAL
    result = Segmentation(
        source_images=images,
        pixel_array=(np.stack([planes == each.SegmentNumber for each in descriptions], axis=-1).astype(np.float32)
                     if fractional else planes),
        segmentation_type=kind,
        segment_descriptions=descriptions,
        fractional_type=SegmentationFractionalTypeValues.PROBABILITY,
        max_fractional_value=MAXIMUM_FRACTIONAL_VALUE,
        content_label="SEGMENTATION",
        content_description=writing.provenance.series_description("SEG"),
        content_creator_name=f"AI^{writing.provenance.manifest.name}",
        **writing.common(number),
    )
    if kind is SegmentationTypeValues.LABELMAP:
        result["PixelPaddingValue"].VR = "US"
        # highdicom describes the background as segment 0; OHIF 3.13 then gives each segment its neighbour's colour.
        result.SegmentSequence = [item for item in result.SegmentSequence if item.SegmentNumber != 0]
    for keyword in ("RequestAttributesSequence", "BodyPartExamined"):
        if keyword in writing.source.common:
            result[keyword] = writing.source.common[keyword]
    writing.finish(result)
    _fix_dimension_uid(result, writing.uid("dimensions", number))
    return result


def _set_frames(
    result: Dataset,
    writing: Writing,
    shown: Sequence[tuple[frames.Place, int | None]],
    pixels: bytes,
    *,
    compressed: bool = False,
) -> None:
    explicit_vr.set_sequence(result, "PerFrameFunctionalGroupsSequence", frames.per_frame_groups(shown))
    result.NumberOfFrames = len(shown)
    result.PixelData = pixels
    result["PixelData"].VR = "OB"
    if compressed:
        result.file_meta.TransferSyntaxUID = RLELossless
        result["PixelData"].is_undefined_length = True


def _on_projections(writing: Writing, kind: SegmentationTypeValues) -> tuple[Dataset, ...]:
    """One segmentation for each projection image with segments, in the order of the projections."""
    results: list[Dataset] = []
    for uid in dict.fromkeys(each.source.sop_instance_uid for each in writing.findings.projections):
        segments = [each for each in writing.findings.segments if each.on == uid]
        if segments:
            results.append(_on_projection(writing, kind, uid, segments, len(results) + 1))
    return tuple(results)


def _on_projection(
    writing: Writing, kind: SegmentationTypeValues, uid: str, segments: Sequence[Segment], number: int
) -> Dataset:
    header = writing.source.header(uid)
    sources = writing.findings.frames_of(segments[0])
    if sources[0].frame_number is not None:
        result = _on_frames(writing, kind, header, segments, number)
    else:
        masks = np.stack([segment.mask for segment in segments], axis=-1)[np.newaxis]
        overlap = bool((masks.sum(axis=-1) > 1).any())
        planes = (masks.astype(np.uint8) if overlap
                  else (masks * np.arange(1, len(segments) + 1)).sum(-1).astype(np.uint16))
        result = _highdicom(
            writing, SegmentationTypeValues.BINARY if overlap else kind,
            _descriptions(segments, writing.provenance), [header], planes, number,
        )
    # Without a place in the patient, what is left and right in the picture must be said (PS3.3 C.7.6.1.1.1).
    result.PatientOrientation = ""
    for keyword in ("PatientOrientation", "ImageLaterality", "Laterality"):
        if keyword in header:
            result[keyword] = header[keyword]
    return result


def _on_frames(
    writing: Writing, kind: SegmentationTypeValues, header: Dataset, segments: Sequence[Segment], number: int
) -> Dataset:
    """The segmentation of an image with several frames: highdicom's of one of them, and then the frames."""
    alone = Dataset()
    alone.update(header)
    del alone.NumberOfFrames
    # highdicom looks for functional groups in any image that may have frames, which clips have not.
    alone.add_new("SOPClassUID", "UI", VLPhotographicImageStorage)
    slices = frames.slices_of(segments)
    kind = SegmentationTypeValues.BINARY if frames.overlapping(segments, slices) else kind
    one_pixel_each = np.zeros((1, int(header.Rows), int(header.Columns)), dtype=np.uint16)
    one_pixel_each.flat[: len(segments)] = np.arange(1, len(segments) + 1)
    descriptions = _descriptions(segments, writing.provenance)
    result = _highdicom(writing, kind, descriptions, [alone], one_pixel_each, number)
    result.SharedFunctionalGroupsSequence[0].pop("SegmentIdentificationSequence", None)
    sources = writing.findings.frames_of(segments[0])
    _name_sources(result, sources, str(header.SeriesInstanceUID))
    places = frames.places_of_frames(sources)
    label_map = kind is SegmentationTypeValues.LABELMAP
    pointers = [("InStackPositionNumber", "FrameContentSequence")]
    if not label_map:
        pointers.insert(0, ("ReferencedSegmentNumber", "SegmentIdentificationSequence"))
    result["DimensionIndexSequence"] = DataElement(
        "DimensionIndexSequence", "SQ", [_dimension(*each, writing.uid("dimensions", number)) for each in pointers]
    )
    if label_map:
        shown = sorted({int(index) for found in slices for index in found})
        _set_frames(result, writing, [(places[index], None) for index in shown], frames.run_length_encoded(
            frames.label_planes(segments, shown, (int(header.Rows), int(header.Columns)))), compressed=True)
    else:
        each_segment = [(order, segment, int(index)) for order, (segment, found)
                        in enumerate(zip(segments, slices, strict=True), 1) for index in found]
        _set_frames(result, writing, [(places[index], order) for order, _, index in each_segment],
                    frames.packed(frames.plane_of(segment, index) for _, segment, index in each_segment))
    return result


def _dimension(pointer: str, group: str, uid: str) -> Dataset:
    item = Dataset()
    item.DimensionIndexPointer, item.FunctionalGroupPointer = tag_for_keyword(pointer), tag_for_keyword(group)
    item.DimensionOrganizationUID = uid
    item.DimensionDescriptionLabel = pointer
    return item


def _descriptions(shown: Iterable[Segment | Map], provenance: Provenance) -> list[SegmentDescription]:
    return [_description(number, each, provenance) for number, each in enumerate(shown, 1)]


def _description(number: int, segment: Segment | Map, provenance: Provenance) -> SegmentDescription:
    manifest = provenance.manifest
    family = Code(ALGORITHM_FAMILIES[manifest.algorithm_family], "DCM", manifest.algorithm_family)
    site, laterality = (None, None) if isinstance(segment, Map) else (segment.site, segment.laterality)
    if site is None and segment.category.value == _ANATOMICAL_STRUCTURE:
        site = segment.type
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
        anatomic_regions=[pydicom_code(site)] if site else None,
        # PS3.3 C.10.7.1.1: recommended colours are CIELab with the D50 white point.
        display_color=CIELabColor.from_rgb(*segment.rgb),
    )
    if laterality:
        _add_laterality(described, laterality)
    return described


def _add_laterality(described: Any, laterality: Code) -> None:
    """CID 244 as modifier of the property type (PS3.3 C.8.20.2) and of the region."""
    property_type = described.SegmentedPropertyTypeCodeSequence[0]
    property_type.SegmentedPropertyTypeModifierCodeSequence = [concept(laterality)]
    for region in described.get("AnatomicRegionSequence", []):
        region.AnatomicRegionModifierSequence = [concept(laterality)]


def _fix_dimension_uid(result: Dataset, uid: str) -> None:
    """highdicom draws the Dimension Organization UID (0020,9164) at random; ours is the same in every
    retry.
    """
    result.DimensionOrganizationSequence[0].DimensionOrganizationUID = uid
    for index in result.DimensionIndexSequence:
        index.DimensionOrganizationUID = uid
