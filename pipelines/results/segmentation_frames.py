"""The frames of a segmentation: what is set on which slice, and the bytes that say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.encaps import encapsulate
from rle.rle import encode_frame

from radnode.pipelines.findings import Code, values_present
from radnode.pipelines.results import explicit_vr as vr

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray
    from pydicom import Dataset

    from radnode.pipelines.findings import Segment
    from radnode.pipelines.geometry import SourceFrame, Volume
    from radnode.pipelines.results.normalise import SourceHeader

_SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")
_SEGMENTATION = Code("113076", "DCM", "Segmentation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What every frame on one slice of the volume has in common, encoded.

    rank: 1-based place of the slice against the stack normal: the order in which highdicom, too, numbers positions; of
    a frame without a place in the patient, its number. within: what else its frame content says.
    """

    derivation: bytes
    position: bytes
    rank: int
    within: bytes = b""


def places(volume: Volume, source: SourceHeader) -> tuple[Place, ...]:
    """One for each slice of the volume, in its order; positions are the digits of the source images."""
    headers = {str(header.SOPInstanceUID): header for header in source.slices}
    normal = np.cross(volume.affine[:3, 2], volume.affine[:3, 1])
    along = (volume.affine[:3, 0] @ normal) * np.arange(len(volume.frames))
    ranks = np.argsort(np.argsort(-along)) + 1
    return tuple(
        Place(
            derivation=_derivation(frame),
            position=vr.sequence("PlanePositionSequence", vr.item(
                vr.element("ImagePositionPatient", position_digits(headers[frame.sop_instance_uid], frame))
            )),
            rank=int(rank),
        )
        for frame, rank in zip(volume.frames, ranks, strict=True)
    )


def places_of_frames(sources: Iterable[SourceFrame]) -> tuple[Place, ...]:
    """One for each frame of an image without a place in the patient: its number in the stack (PS3.3 C.7.6.16.2.2)."""
    return tuple(
        Place(
            derivation=_derivation(frame), position=b"", rank=frame.frame_number or 1,
            within=vr.element("StackID", "1") + vr.unsigned_longs("InStackPositionNumber", frame.frame_number or 1),
        )
        for frame in sources
    )


def position_digits(header: Dataset, frame: SourceFrame) -> str:
    """Image Position (Patient) of a slice, spelled as its source spells it: viewers compare positions."""
    if frame.frame_number is not None:
        group = header.PerFrameFunctionalGroupsSequence[frame.frame_number - 1]
        header = group.PlanePositionSequence[0]
    return "\\".join(str(value) for value in header.ImagePositionPatient)


def references(frames: Iterable[SourceFrame]) -> list[bytes]:
    """An item of a SOP instance reference for each instance, named once."""
    named = dict.fromkeys((frame.sop_class_uid, frame.sop_instance_uid) for frame in frames)
    return [vr.item(*_reference(*each)) for each in named]


def per_frame_groups(frames: Iterable[tuple[Place, int | None]]) -> Iterator[bytes]:
    """Per-frame functional groups (PS3.3 C.7.6.16). frames: the place, and the segment if a frame holds just one."""
    identifications: dict[int, bytes] = {}
    for place, segment in frames:
        if segment is None:
            index = vr.unsigned_longs("DimensionIndexValues", place.rank)
            identification = b""
        else:
            index = vr.unsigned_longs("DimensionIndexValues", segment, place.rank)
            if segment not in identifications:
                identifications[segment] = vr.sequence(
                    "SegmentIdentificationSequence", vr.item(vr.unsigned_short("ReferencedSegmentNumber", segment))
                )
            identification = identifications[segment]
        content = vr.sequence("FrameContentSequence", vr.item(place.within, index))
        yield vr.item(place.derivation, content, place.position, identification)


def slices_of(segments: Sequence[Segment]) -> list[NDArray[np.intp]]:
    """For each segment the slices on which it has a voxel."""
    present: dict[int, NDArray[np.bool_]] = {}
    found = []
    for segment in segments:
        if segment.voxels.dtype == np.bool_:
            found.append(np.flatnonzero(segment.voxels.reshape(len(segment.voxels), -1).any(axis=1)))
            continue
        if id(segment.voxels) not in present:
            present[id(segment.voxels)] = values_present(segment.voxels)
        found.append(np.flatnonzero(present[id(segment.voxels)][:, segment.value]))
    return found


def plane_of(segment: Segment, index: int) -> NDArray[np.bool_]:
    """The segment on one slice, bool (rows, columns)."""
    plane = segment.voxels[index]
    return plane if plane.dtype == np.bool_ else np.asarray(plane == segment.value)


def packed(planes: Iterable[NDArray[np.bool_]]) -> bytes:
    """One bit a pixel, lowest bit first, frames not padded to whole bytes (PS3.5 8.1.1); the whole is even."""
    parts, waiting = [], []
    for plane in planes:
        waiting.append(plane.ravel())
        # Eight frames always end on a whole byte, whatever their size.
        if plane.size % 8 == 0 or len(waiting) == 8:
            parts.append(_bits(waiting))
            waiting = []
    if waiting:
        parts.append(_bits(waiting))
    content = b"".join(parts)
    return content + b"\0" * (len(content) % 2)


def run_length_encoded(planes: Iterable[NDArray[np.uint8] | NDArray[np.uint16]]) -> bytes:
    """RLE Lossless (PS3.5 Annex G), encapsulated with a Basic Offset Table."""
    frames = []
    for plane in planes:
        rows, columns = plane.shape
        frames.append(encode_frame(plane.tobytes(), rows, columns, 1, plane.dtype.itemsize * 8, "<"))
    return encapsulate(frames, has_bot=True)


def label_planes(
    segments: Sequence[Segment], slices: Sequence[int], shape: tuple[int, int]
) -> Iterator[NDArray[np.uint8] | NDArray[np.uint16]]:
    """The number of the segment at each pixel, 0 for none; the segments do not overlap."""
    dtype = np.uint8 if len(segments) < 256 else np.uint16
    tables = _tables(segments, dtype)
    masks = [(number, each.voxels) for number, each in enumerate(segments, 1) if each.voxels.dtype == np.bool_]
    for index in slices:
        plane = np.zeros(shape, dtype=dtype)
        for labels, table in tables:
            plane |= table[labels[index]]
        for number, mask in masks:
            plane[mask[index]] = number
        yield plane


def overlapping(segments: Sequence[Segment], slices: Sequence[NDArray[np.intp]]) -> bool:
    """Whether two segments share a voxel; values of one label map cannot."""
    if len({id(segment.voxels) for segment in segments}) == 1:
        return False
    on_slice: dict[int, list[Segment]] = {}
    for segment, indices in zip(segments, slices, strict=True):
        for index in indices:
            on_slice.setdefault(int(index), []).append(segment)
    for index, together in on_slice.items():
        taken = plane_of(together[0], index)
        for segment in together[1:]:
            plane = plane_of(segment, index)
            if (taken & plane).any():
                return True
            taken = taken | plane
    return False


def _tables(
    segments: Sequence[Segment], dtype: type[np.uint8] | type[np.uint16]
) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """(label map, its values -> segment numbers) for each label map that segments share."""
    shared: dict[int, NDArray[Any]] = {
        id(each.voxels): each.voxels for each in segments if each.voxels.dtype != np.bool_
    }
    tables = []
    for place, labels in shared.items():
        table = np.zeros(np.iinfo(labels.dtype).max + 1, dtype=dtype)
        for number, segment in enumerate(segments, 1):
            if id(segment.voxels) == place:
                table[segment.value] = number
        tables.append((labels, table))
    return tables


def _bits(planes: Sequence[NDArray[np.bool_]]) -> bytes:
    return np.packbits(planes[0] if len(planes) == 1 else np.concatenate(planes), bitorder="little").tobytes()


def _derivation(frame: SourceFrame) -> bytes:
    """Derivation Image macro (PS3.3 C.7.6.16.2.6): made by segmentation from that image, at the same places."""
    number = [vr.element("ReferencedFrameNumber", str(frame.frame_number))] if frame.frame_number else []
    source = vr.item(
        *_reference(frame.sop_class_uid, frame.sop_instance_uid),
        *number,
        vr.element("SpatialLocationsPreserved", "YES"),
        vr.code("PurposeOfReferenceCodeSequence", _SOURCE_IMAGE),
    )
    return vr.sequence("DerivationImageSequence", vr.item(
        vr.sequence("SourceImageSequence", source), vr.code("DerivationCodeSequence", _SEGMENTATION)
    ))


def _reference(sop_class_uid: str, sop_instance_uid: str) -> tuple[bytes, bytes]:
    return (
        vr.element("ReferencedSOPClassUID", sop_class_uid),
        vr.element("ReferencedSOPInstanceUID", sop_instance_uid),
    )
