"""What the gate demands of derived images: the model's numbers at the places of the source, and what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines.geometry import to_index

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from pydicom import Dataset

    from radnode.pipelines.results.writing import Writing

Fault = tuple[str, str]

# Of a voxel: what scanners round in positions and direction cosines.
_TOLERANCE = 0.25


def faults(results: Sequence[Dataset], writing: Writing) -> Iterator[Fault]:
    """(check, what is wrong) for everything that is."""
    image = writing.findings.derived
    written = str(writing.source.first.get("Modality")) in ("CT", "MR")
    wanted = len(image.values) if image is not None and written else 0
    if len(results) != wanted:
        yield "missing", f"{len(results)} images, expected {wanted}"
    if image is None or len(results) != wanted or not wanted:
        return
    for index, result in enumerate(results):
        yield from _markings(result, writing, index)
        yield from _place(result, writing, index)
        yield from _numbers(result, image.values[index])
    if len({str(each.SeriesInstanceUID) for each in results}) != 1:
        yield "series", "the images are not one series"


def _markings(result: Dataset, writing: Writing, index: int) -> Iterator[Fault]:
    if list(result.get("ImageType") or [])[:2] != ["DERIVED", "SECONDARY"]:
        yield "markings", "an image does not say that it is derived"
    if not str(result.get("DerivationDescription") or "").strip() or "AI" not in str(result.get("ImageComments")):
        yield "markings", "an image does not say how it was made"
    if str(result.get("SeriesInstanceUID")) in set(writing.source.instances.values()):
        yield "markings", "an image is in the series that it was made from"
    frame = writing.findings.grid.frames[index]
    named = [(str(each.ReferencedSOPInstanceUID), each.get("ReferencedFrameNumber"))
             for each in result.get("SourceImageSequence") or []]
    if named != [(frame.sop_instance_uid, frame.frame_number)]:
        yield "reference", "an image does not name the slice that it was made from"
    if str(result.get("Modality")) != str(writing.source.first.get("Modality")):
        yield "markings", "an image has another modality than its source"


def _place(result: Dataset, writing: Writing, index: int) -> Iterator[Fault]:
    """Three corners of the slice, from the result's own attributes (PS3.3 C.7.6.2.1.1)."""
    grid = writing.findings.grid
    origin = np.array([float(each) for each in result.ImagePositionPatient])
    along = np.array([float(each) for each in result.ImageOrientationPatient])
    down, across = (float(each) for each in result.PixelSpacing)
    rows, columns = int(result.Rows), int(result.Columns)
    corners = np.array([[0, 0], [rows - 1, 0], [0, columns - 1]], dtype=np.float64)
    points = origin + corners[:, :1] * down * along[3:] + corners[:, 1:] * across * along[:3]
    meant = np.column_stack([np.full(3, index), corners])
    if (rows, columns) != grid.voxels.shape[1:] or np.abs(to_index(grid.affine, points) - meant).max() > _TOLERANCE:
        yield "geometry", "an image does not lie on the slice that it was made from"
    if str(result.get("FrameOfReferenceUID")) != grid.frame_of_reference_uid:
        yield "geometry", "an image has another frame of reference than its source"


def _numbers(result: Dataset, values: NDArray[np.float32]) -> Iterator[Fault]:
    """Decoded here from the bytes: uncompressed, 16 bits, unsigned."""
    if (result.BitsAllocated, result.PixelRepresentation, result.SamplesPerPixel) != (16, 0, 1):
        yield "encoding", "an image is not stored in 16 unsigned bits"
        return
    plane = np.frombuffer(result.PixelData, dtype="<u2")[: values.size].reshape(values.shape).astype(np.float64)
    slope, intercept = _scale(result)
    if np.abs(plane * slope + intercept - values).max() > slope / 2 + 1e-6 * max(1.0, float(np.abs(values).max())):
        yield "voxels", "an image does not hold the model's numbers"


def _scale(result: Dataset) -> tuple[float, float]:
    if "RealWorldValueMappingSequence" in result:
        mapping = result.RealWorldValueMappingSequence[0]
        return float(mapping.RealWorldValueSlope), float(mapping.RealWorldValueIntercept)
    return float(result.get("RescaleSlope", 1)), float(result.get("RescaleIntercept", 0))

