"""What the gate demands of a Segmentation: the voxels of the findings, at their places, under their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.uid import SegmentationStorage

from radnode.pipelines.findings import Map, MapKind, Segment
from radnode.pipelines.results.decoding import Frames, Misplaced, on_slices, planes, read_frames, sequence_tables
from radnode.pipelines.results.segmentation import LABEL_MAP_STORAGE, MAXIMUM_FRACTIONAL_VALUE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from pydicom import Dataset

    from radnode.pipelines.findings import Findings
    from radnode.pipelines.results.identity import Provenance
    from radnode.pipelines.results.writing import Writing

Fault = tuple[str, str]

_REFERENCED_INSTANCE = 0x00081155
_SERIES_INSTANCE = 0x0020000E


def faults(results: Sequence[Dataset], writing: Writing) -> Iterator[Fault]:
    """(check, what is wrong) for everything that is."""
    findings = writing.findings
    parts = _parts(findings, fractional=writing.wanted.form == "FRACTIONAL")
    if len(results) != len(parts):
        yield "missing", f"{len(results)} segmentations, expected {len(parts)}"
        return
    for result, (on, shown) in zip(results, parts, strict=True):
        expected = {"LABELMAP": LABEL_MAP_STORAGE}.get(str(result.SegmentationType), SegmentationStorage)
        if result.SOPClassUID != expected:
            yield "encoding", "the SOP class is not that of the segmentation type"
        yield from _descriptions(result, shown, writing.provenance)
        try:
            frames = read_frames(result)
            if on is None:
                yield from _on_volume(result, frames, shown, findings)
            else:
                yield from _on_projection(result, frames, shown, findings)
        except Misplaced as error:
            yield "geometry", str(error)
        except (ValueError, AttributeError, IndexError, KeyError) as error:
            yield "encoding", str(error)
        yield from _referenced(result, writing, on)


def _parts(findings: Findings, *, fractional: bool) -> list[tuple[str | None, Sequence[Segment | Map]]]:
    """(projection or None for the volume, what it shows) for each instance that there should be."""
    if fractional:
        maps = [each for each in findings.maps if each.kind is MapKind.PROBABILITY and each.on is None
                and (each.values * MAXIMUM_FRACTIONAL_VALUE >= 0.5).any()]
        every = [each for each in findings.maps if each.kind is MapKind.PROBABILITY and each.on is None]
        return [(None, every)] if maps and findings.volume is not None else []
    if findings.volume is not None:
        return [(None, findings.segments)] if findings.segments else []
    uids = dict.fromkeys(projection.source.sop_instance_uid for projection in findings.projections)
    found = [(uid, [each for each in findings.segments if each.on == uid]) for uid in uids]
    return [(uid, segments) for uid, segments in found if segments]


def _descriptions(result: Dataset, shown: Sequence[Segment | Map], provenance: Provenance) -> Iterator[Fault]:
    described = [
        (int(item.SegmentNumber), str(item.get("TrackingUID")), str(item.SegmentLabel),
         str(item.SegmentedPropertyTypeCodeSequence[0].CodeValue), _laterality(item))
        for item in result.SegmentSequence
    ]
    expected = [
        (number, provenance.tracking_uid(each.key), each.label[:64], each.type.value,
         each.laterality.value if isinstance(each, Segment) and each.laterality else None)
        for number, each in enumerate(shown, 1)
    ]
    if described != expected:
        yield "segments", "their numbers, names, codes or tracking UIDs are not those of the findings"
    for item in result.SegmentSequence:
        if item.SegmentAlgorithmType != "AUTOMATIC":
            yield "segments", f"segment {item.SegmentNumber} does not say that a machine drew it"


def _laterality(item: Dataset) -> str | None:
    modifiers = item.SegmentedPropertyTypeCodeSequence[0].get("SegmentedPropertyTypeModifierCodeSequence")
    return str(modifiers[0].CodeValue) if modifiers else None


def _on_volume(
    result: Dataset, frames: Frames, shown: Sequence[Segment | Map], findings: Findings
) -> Iterator[Fault]:
    volume = findings.grid
    if str(result.FrameOfReferenceUID) != volume.frame_of_reference_uid:
        yield "frame of reference", "differs from the images'"
    places = on_slices(frames, volume.affine, volume.voxels.shape)
    if len({(int(place), int(segment)) for place, segment in zip(places, frames.segment, strict=True)}) != len(places):
        yield "geometry", "two frames of one segment lie on the same slice"
        return
    named = [(volume.frames[place].sop_instance_uid, volume.frames[place].frame_number) for place in places]
    if list(frames.sources) != named:
        yield "reference", "a frame does not name the image of its slice"
    yield from _same_voxels(result, frames, places, shown)


def _on_projection(
    result: Dataset, frames: Frames, shown: Sequence[Segment | Map], findings: Findings
) -> Iterator[Fault]:
    if frames.affine is not None:
        yield "geometry", "a projection image has no place in the patient"
    images = [(each.sop_instance_uid, each.frame_number) for each in findings.frames_of(shown[0])]
    if not set(frames.sources) <= set(images):
        yield "reference", "a frame does not name the image of its slice"
        return
    places = np.array([images.index(source) for source in frames.sources], dtype=np.int64)
    yield from _same_voxels(result, frames, places, shown)


def _same_voxels(
    result: Dataset, frames: Frames, places: NDArray[np.int64], shown: Sequence[Segment | Map]
) -> Iterator[Fault]:
    """Every voxel of every frame is that of the findings, and no slice with a voxel lacks its frame."""
    slices = _slices(shown)
    on_slice: dict[int, list[int]] = {}
    for index, found in enumerate(slices):
        for place in found:
            on_slice.setdefault(place, []).append(index)
    for plane, place, number in zip(planes(result), places.tolist(), frames.segment.tolist(), strict=True):
        if number > len(shown):
            yield "segments", f"a frame shows segment {number} of {len(shown)}"
            return
        if number:
            meant = _plane(shown[number - 1], place)
            seen = [number - 1]
        else:
            seen = on_slice.get(place, [])
            meant = np.zeros(plane.shape, dtype=np.int64)
            for index in seen:
                meant[_plane(shown[index], place)] = index + 1
        for index in seen:
            slices[index].discard(place)
        wrong = np.count_nonzero(_differs(plane, meant)) if plane.shape == meant.shape else plane.size
        if wrong:
            name = shown[number - 1].key if number else "the label map"
            yield "voxels", f"{name}: {wrong} pixels of a frame are not those of the findings"
            return
    missing = sum(map(len, slices))
    if missing:
        yield "voxels", f"{missing} slices of the findings have no frame"


def _slices(shown: Sequence[Segment | Map]) -> list[set[int]]:
    """For each of them the slices on which it has something to show."""
    in_labels: dict[int, list[set[int]]] = {}
    found = []
    for each in shown:
        if isinstance(each, Segment) and each.voxels.dtype != np.bool_:
            if id(each.voxels) not in in_labels:
                in_labels[id(each.voxels)] = [set(np.flatnonzero(np.bincount(plane.ravel())).tolist())
                                              for plane in _stack(each.voxels)]
            found.append({place for place, values in enumerate(in_labels[id(each.voxels)]) if each.value in values})
            continue
        set_ = each.values * MAXIMUM_FRACTIONAL_VALUE >= 0.5 if isinstance(each, Map) else each.voxels
        stack = _stack(set_)
        found.append(set(np.flatnonzero(stack.reshape(len(stack), -1).any(axis=1)).tolist()))
    return found


def _stack(array: NDArray[Any]) -> NDArray[Any]:
    return array if array.ndim == 3 else array[np.newaxis]


def _plane(shown: Segment | Map, place: int) -> NDArray[Any]:
    values = shown.values if isinstance(shown, Map) else shown.voxels
    plane = values if values.ndim == 2 else values[place]
    return plane if isinstance(shown, Map) or plane.dtype == np.bool_ else plane == shown.value


def _differs(said: NDArray[Any], meant: NDArray[Any]) -> NDArray[np.bool_]:
    if not np.issubdtype(meant.dtype, np.floating):
        return np.asarray(said != meant)
    # A probability is stored to half a step.
    return np.asarray(np.abs(said / MAXIMUM_FRACTIONAL_VALUE - meant) > 0.5 / MAXIMUM_FRACTIONAL_VALUE + 1e-6)


def _referenced(result: Dataset, writing: Writing, on: str | None) -> Iterator[Fault]:
    """PS3.3 C.12.1.2 Common Instance Reference: viewers refuse to load a segmentation without it."""
    needed = {frame.sop_instance_uid for frame in writing.findings.grid.frames} if on is None else {on}
    listed: set[str] = set()
    series = {each.series_instance_uid for each in writing.findings.projections} if on is not None else {
        writing.findings.grid.series_instance_uid
    }
    for table in sequence_tables(result, "ReferencedSeriesSequence") if "ReferencedSeriesSequence" in result else []:
        if {uid.decode("ascii", "replace") for each in table.every(_SERIES_INSTANCE) for uid in each} <= series:
            listed |= {uid.decode("ascii", "replace") for each in table.every(_REFERENCED_INSTANCE) for uid in each}
    if not needed <= listed:
        yield "reference", f"{len(needed - listed)} images of the volume are not in the references"
