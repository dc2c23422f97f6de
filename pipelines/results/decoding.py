"""A second reading of a Segmentation: bytes, bits and functional groups, with numpy alone.

The gate must not trust the library that wrote the object, nor that library's idea of geometry. So nothing
here uses highdicom or pydicom's pixel handlers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.uid import ExplicitVRLittleEndian

from radnode.pipelines.geometry import to_index

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray
    from pydicom import Dataset

    from radnode.pipelines.geometry import Affine, Points

# A voxel centre further than this part of a voxel from the grid is another place. Below it lies what scanners
# round: direction cosines of four decimals drift by a twentieth of a voxel over 512 columns.
GRID_TOLERANCE = 0.25


class Misplaced(ValueError):
    """Voxels of a segmentation do not lie on the grid of the findings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame of a segmentation.

    mask: bool, (rows, columns). affine: (row, column, 1) -> LPS millimetres, shape (3, 3).
    sources: (SOP Instance UID, frame number or None) that the frame says it derives from.
    """

    segment_number: int
    mask: NDArray[np.bool_]
    affine: NDArray[np.float64]
    sources: tuple[tuple[str, int | None], ...]

    def points(self) -> Points:
        """Centres of the set voxels in patient coordinates, (n, 3)."""
        index = np.argwhere(self.mask).astype(np.float64)
        return np.column_stack([index, np.ones(len(index))]) @ self.affine.T


def frames_of(segmentation: Dataset) -> Iterator[Frame]:
    """Each frame of an uncompressed BINARY segmentation. Raises ValueError for any other encoding."""
    if segmentation.file_meta.TransferSyntaxUID != ExplicitVRLittleEndian:
        raise ValueError("not Explicit VR Little Endian")
    if segmentation.SegmentationType != "BINARY" or segmentation.BitsAllocated != 1:
        raise ValueError("not a BINARY segmentation")
    rows, columns = int(segmentation.Rows), int(segmentation.Columns)
    size = rows * columns
    stored = np.frombuffer(segmentation.PixelData, dtype=np.uint8)
    groups = segmentation.PerFrameFunctionalGroupsSequence
    if len(groups) != int(segmentation.NumberOfFrames) or stored.size * 8 < size * len(groups):
        raise ValueError(
            f"{stored.size} bytes and {len(groups)} groups for {segmentation.NumberOfFrames} frames"
        )
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    for number, group in enumerate(groups):
        yield Frame(
            segment_number=int(
                _macro(group, shared, "SegmentIdentificationSequence").ReferencedSegmentNumber
            ),
            mask=_bits(stored, number * size, size).reshape(rows, columns),
            affine=_plane(group, shared),
            sources=_sources(group),
        )


def onto_grid(frames: Iterable[Frame], affine: Affine, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The frames of one segment on a grid (slice, row, column).

    affine: (4, 4), index -> LPS millimetres. Raises Misplaced for a voxel beside the grid, outside it, or
    given twice.
    """
    mask = np.zeros(shape, dtype=np.bool_)
    for frame in frames:
        if (place := _whole_slice(frame, affine, shape)) is not None:
            target: Any = place
            values = frame.mask
        else:
            index = to_index(affine, frame.points())
            nearest = np.rint(index)
            if np.abs(index - nearest).max(initial=0.0) > GRID_TOLERANCE:
                raise Misplaced("voxels lie between those of the images")
            whole = nearest.astype(np.intp)
            if ((whole < 0) | (whole >= np.array(shape))).any():
                raise Misplaced("voxels lie outside the images")
            target = tuple(whole.T)
            values = np.ones(len(whole), np.bool_)
        if (mask[target] & values).any():
            raise Misplaced("two frames of one segment lie on the same slice")
        mask[target] |= values
    return mask


def _whole_slice(frame: Frame, affine: Affine, shape: tuple[int, ...]) -> int | None:
    """The slice of the grid whose pixels are exactly those of the frame; None when there is none.

    Both are affine, so pixels that agree in three corners agree everywhere.
    """
    if frame.mask.shape != shape[1:]:
        return None
    rows, columns = frame.mask.shape
    corners = np.array([[0, 0, 1], [rows - 1, 0, 1], [0, columns - 1, 1]], dtype=np.float64)
    index = to_index(affine, corners @ frame.affine.T)
    place = round(float(index[0, 0]))
    meant = np.column_stack([np.full(3, place), corners[:, :2]])
    if not 0 <= place < shape[0] or np.abs(index - meant).max() > GRID_TOLERANCE:
        return None
    return place


def _bits(stored: NDArray[np.uint8], start: int, count: int) -> NDArray[np.bool_]:
    """PS3.5 8.1.1: one bit a pixel, the first pixel in the lowest bit, frames not padded to whole bytes."""
    first = start // 8
    unpacked = np.unpackbits(stored[first : (start + count + 7) // 8], bitorder="little")
    return unpacked[start - first * 8 :][:count].astype(np.bool_)


def _plane(group: Dataset, shared: Dataset) -> NDArray[np.float64]:
    """PS3.3 C.7.6.2.1.1: first three orientation values point along a row (growing column), Pixel Spacing is
    row first.
    """
    position = np.array(_macro(group, shared, "PlanePositionSequence").ImagePositionPatient, dtype=np.float64)
    directions = _macro(group, shared, "PlaneOrientationSequence").ImageOrientationPatient
    orientation = np.array(directions, dtype=np.float64)
    between_rows, between_columns = map(float, _macro(group, shared, "PixelMeasuresSequence").PixelSpacing)
    return np.column_stack([orientation[3:] * between_rows, orientation[:3] * between_columns, position])


def _macro(group: Dataset, shared: Dataset, keyword: str) -> Dataset:
    """A functional group macro stands in the frame's item or in the shared one (PS3.3 C.7.6.16)."""
    return (group if keyword in group else shared)[keyword].value[0]  # type: ignore[no-any-return]


def _sources(group: Dataset) -> tuple[tuple[str, int | None], ...]:
    return tuple(
        (
            str(image.ReferencedSOPInstanceUID),
            int(image.ReferencedFrameNumber) if "ReferencedFrameNumber" in image else None,
        )
        for derivation in group.get("DerivationImageSequence", [])
        for image in derivation.get("SourceImageSequence", [])
    )
