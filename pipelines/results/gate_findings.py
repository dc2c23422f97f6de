"""What the gate demands of the findings themselves: sides that are where they say, codes from their context groups.

A form can repeat a wrong side faithfully, and every validator will accept it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.sr._cid_dict import cid_concepts
from pydicom.sr._concepts_dict import concepts

from radnode.pipelines.findings import InPatient
from radnode.pipelines.geometry import to_index, to_patient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from radnode.pipelines.findings import Detection, Findings, Segment
    from radnode.pipelines.geometry import Points, Volume

Fault = tuple[str, str]

_LEFT, _RIGHT = "7771000", "24028007"
_LATERALITY, _BREASTS, _SEGMENT_CATEGORY = 244, 6022, 7150
# Every this many voxels along (slice, row, column) are enough to say on which side an organ lies.
_STRIDE = (2, 4, 4)


def context_group(number: int) -> frozenset[tuple[str, str]]:
    """(code value, coding scheme) of a context group of PS3.16, from pydicom's tables. Raises KeyError."""
    groups: Any = cid_concepts[number]
    tables: Any = concepts
    return frozenset(
        (value, scheme) for scheme, keywords in groups.items() for keyword in keywords
        for value in tables[scheme][keyword]
    )


def faults(findings: Findings) -> Iterator[Fault]:
    """(check, what is wrong) for everything that is."""
    lateralities = context_group(_LATERALITY) | context_group(_BREASTS)
    categories = context_group(_SEGMENT_CATEGORY)
    sides = [(each.key, each.laterality) for each in findings.segments]
    sides += [(each.key, each.laterality) for each in findings.detections]
    sides += [(each.key, each.laterality) for each in findings.classifications]
    for key, laterality in sides:
        if laterality is not None and (laterality.value, laterality.scheme) not in lateralities:
            yield "codes", f"{key}: {laterality.meaning} is no laterality of CID 244 or 6022"
    kinds = [(each.key, each.category) for each in findings.segments]
    kinds += [(each.key, each.category) for each in findings.maps]
    for key, category in kinds:
        if (category.value, category.scheme) not in categories:
            yield "codes", f"{key}: {category.meaning} is no segment category of CID 7150"
    for each in findings.segments:
        if _is_everything(each):
            yield "plausibility", f"{each.key} is every voxel of the images"
    if findings.volume is not None:
        yield from _sides(findings.segments, findings.volume)


def drawn_on(
    detection: Detection, findings: Findings, image: tuple[str, int | None], points: Points
) -> Iterator[Fault]:
    """Whether what is drawn of a place in the patient surrounds it, on the slice nearest to it.

    image: SOP Instance UID and frame number; points: (n, 2) pixel coordinates. Computed from the affine alone, not by
    the code that the writers place findings with.
    """
    if not isinstance(detection.at, InPatient):
        return
    index = to_index(findings.grid.affine, np.array([detection.at.center_lps]))[0]
    frame = findings.grid.frames[int(np.clip(np.rint(index[0]), 0, len(findings.grid.frames) - 1))]
    if image != (frame.sop_instance_uid, frame.frame_number):
        yield "reference", f"{detection.key} is not drawn on the slice nearest to it"
    center = index[[2, 1]] + 0.5
    if (center < points.min(axis=0) - 0.51).any() or (center > points.max(axis=0) + 0.51).any():
        yield "geometry", f"{detection.key} is not inside what is drawn of it"


def _sides(segments: tuple[Segment, ...], volume: Volume) -> Iterator[Fault]:
    """Of two organs of a pair, the left one lies further to the patient's left (LPS: the larger first coordinate)."""
    on = {(segment.type.value, segment.laterality.value): segment for segment in segments if segment.laterality}
    for (kind, side), left in on.items():
        right = on.get((kind, _RIGHT))
        if side != _LEFT or right is None:
            continue
        if _across(left, volume) <= _across(right, volume):
            yield "laterality", f"{left.key} lies to the right of {right.key}"


def _is_everything(segment: Segment) -> bool:
    """No organ fills the images; a threshold on the wrong side does. The corners tell nearly always, and at once."""
    ends = tuple(slice(None, None, max(length - 1, 1)) for length in segment.voxels.shape)
    corners = segment.voxels[ends] == segment.value
    return bool(corners.all() and segment.mask.all())


def _across(segment: Segment, volume: Volume) -> float:
    """How far to the patient's left the middle of a segment lies, LPS millimetres."""
    thinned = segment.voxels[:: _STRIDE[0], :: _STRIDE[1], :: _STRIDE[2]] == segment.value
    index = np.argwhere(thinned).mean(axis=0) * _STRIDE if thinned.any() else np.argwhere(segment.mask).mean(axis=0)
    return float(to_patient(volume.affine, index[np.newaxis])[0, 0])
