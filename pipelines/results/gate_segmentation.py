"""What the gate demands of a Segmentation: the voxels of the findings, at their places, under their names."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines.geometry import to_index
from radnode.pipelines.results.decoding import Frame, Misplaced, frames_of, onto_grid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydicom import Dataset

    from radnode.pipelines.findings import Findings, Segment
    from radnode.pipelines.results.identity import Provenance
    from radnode.pipelines.results.writing import Writing

Fault = tuple[str, str]


def faults(results: Sequence[Dataset], writing: Writing) -> Iterator[Fault]:
    """(check, what is wrong) for everything that is."""
    for result in results:
        yield from _faults(result, writing.findings, writing.provenance)


def _faults(result: Dataset, findings: Findings, provenance: Provenance) -> Iterator[Fault]:
    if str(result.FrameOfReferenceUID) != findings.grid.frame_of_reference_uid:
        yield "frame of reference", "differs from the images'"
    yield from _descriptions(result, findings, provenance)
    by_segment: dict[int, list[Frame]] = defaultdict(list)
    try:
        for frame in frames_of(result):
            by_segment[frame.segment_number].append(frame)
    except (ValueError, AttributeError, IndexError) as error:
        yield "encoding", str(error)
        return
    if set(by_segment) != set(range(1, len(findings.segments) + 1)):
        yield "segments", f"voxels of segments {sorted(by_segment)}, expected 1 to {len(findings.segments)}"
        return
    for number, segment in enumerate(findings.segments, 1):
        yield from _voxels(by_segment[number], segment, findings)
        yield from _derivation(by_segment[number], segment, findings)
    yield from _referenced_series(result, findings)


def _descriptions(result: Dataset, findings: Findings, provenance: Provenance) -> Iterator[Fault]:
    described = [
        (int(item.SegmentNumber), str(item.get("TrackingUID")), str(item.SegmentLabel),
         str(item.SegmentedPropertyTypeCodeSequence[0].CodeValue), _laterality(item))
        for item in result.SegmentSequence
    ]
    expected = [
        (number, provenance.tracking_uid(segment.key), segment.label[:64], segment.type.value,
         segment.laterality.value if segment.laterality else None)
        for number, segment in enumerate(findings.segments, 1)
    ]
    if described != expected:
        yield "segments", "their numbers, names, codes or tracking UIDs are not those of the findings"
    for item in result.SegmentSequence:
        if item.SegmentAlgorithmType != "AUTOMATIC":
            yield "segments", f"segment {item.SegmentNumber} does not say that a machine drew it"


def _laterality(item: Dataset) -> str | None:
    modifiers = item.SegmentedPropertyTypeCodeSequence[0].get("SegmentedPropertyTypeModifierCodeSequence")
    return str(modifiers[0].CodeValue) if modifiers else None


def _voxels(frames: list[Frame], segment: Segment, findings: Findings) -> Iterator[Fault]:
    try:
        decoded = onto_grid(frames, findings.grid.affine, segment.mask.shape)
    except Misplaced as error:
        yield "geometry", f"segment {segment.key}: {error}"
        return
    missing = np.count_nonzero(segment.mask & ~decoded)
    extra = np.count_nonzero(decoded & ~segment.mask)
    if missing or extra:
        yield "voxels", f"segment {segment.key}: {missing} voxels missing, {extra} too many"


def _derivation(frames: list[Frame], segment: Segment, findings: Findings) -> Iterator[Fault]:
    """Each frame names the image of its own slice as its source; viewers place it by that."""
    for frame in frames:
        index = to_index(findings.grid.affine, frame.affine[:, 2][np.newaxis])[0]
        slice_index = round(float(index[0]))
        if not 0 <= slice_index < len(findings.grid.frames):
            continue  # already refused for its geometry
        meant = findings.grid.frames[slice_index]
        if frame.sources != ((meant.sop_instance_uid, meant.frame_number),):
            yield "reference", f"segment {segment.key}: a frame does not name the image of its slice"
            return


def _referenced_series(result: Dataset, findings: Findings) -> Iterator[Fault]:
    """PS3.3 C.12.1.2 Common Instance Reference: viewers refuse to load a segmentation without it."""
    listed = {
        str(instance.ReferencedSOPInstanceUID)
        for series in result.get("ReferencedSeriesSequence", [])
        if str(series.SeriesInstanceUID) == findings.grid.series_instance_uid
        for instance in series.ReferencedInstanceSequence
    }
    needed = {frame.sop_instance_uid for frame in findings.grid.frames}
    if not needed <= listed:
        yield "reference", f"{len(needed - listed)} images of the volume are not in the references"
