"""What the gate demands of a Parametric Map: every number of the findings at its place, with its quantity and unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydicom.uid import ExplicitVRLittleEndian

from radnode.pipelines.results.decoding import Misplaced, on_slices, read_frames

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydicom import Dataset

    from radnode.pipelines.findings import Findings, Map
    from radnode.pipelines.results.writing import Writing

Fault = tuple[str, str]


def faults(results: Sequence[Dataset], writing: Writing) -> Iterator[Fault]:
    """(check, what is wrong) for everything that is."""
    findings = writing.findings
    maps = [each for each in findings.maps if each.on is None] if findings.volume is not None else []
    if len(results) != len(maps):
        yield "missing", f"{len(results)} maps, expected {len(maps)}"
        return
    for result, shown in zip(results, maps, strict=True):
        try:
            # Before anything of the shared groups is decoded: the geometry is read from their bytes.
            yield from _numbers(result, shown, findings)
            yield from _meaning(result, shown)
        except Misplaced as error:
            yield "geometry", str(error)
        except (ValueError, AttributeError, IndexError, KeyError) as error:
            yield "encoding", str(error)


def _numbers(result: Dataset, shown: Map, findings: Findings) -> Iterator[Fault]:
    volume = findings.grid
    if result.file_meta.TransferSyntaxUID != ExplicitVRLittleEndian or result.BitsAllocated != 32:
        yield "encoding", "not 32-bit numbers in Explicit VR Little Endian"
    if str(result.FrameOfReferenceUID) != volume.frame_of_reference_uid:
        yield "frame of reference", "differs from the images'"
    frames = read_frames(result)
    places = on_slices(frames, volume.affine, volume.voxels.shape)
    if sorted(places.tolist()) != list(range(len(volume.frames))):
        yield "geometry", "not one frame for each slice"
        return
    named = [(volume.frames[place].sop_instance_uid, volume.frames[place].frame_number) for place in places]
    if list(frames.sources) != named:
        yield "reference", "a frame does not name the image of its slice"
    shape = (len(places), int(result.Rows), int(result.Columns))
    stored = np.frombuffer(result.FloatPixelData, dtype="<f4")[: int(np.prod(shape))].reshape(shape)
    if not np.array_equal(stored, shown.values[places]):
        yield "voxels", f"{shown.key}: {np.count_nonzero(stored != shown.values[places])} numbers differ"


def _meaning(result: Dataset, shown: Map) -> Iterator[Fault]:
    mapping = result.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    said = (
        float(mapping.RealWorldValueSlope), float(mapping.RealWorldValueIntercept),
        str(mapping.MeasurementUnitsCodeSequence[0].CodeValue),
        str(mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0].CodeValue), str(mapping.LUTExplanation),
    )
    if said != (1.0, 0.0, shown.unit.value, shown.quantity.value, shown.label[:64]):
        yield "codes", f"the numbers of {shown.key} do not mean what the findings say"
