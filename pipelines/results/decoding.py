"""A second reading of a Segmentation: bytes, bits and functional groups, read with numpy.

The gate must not trust the library that wrote the object, nor that library's idea of geometry. So nothing here uses
highdicom; run-length coding is undone by pydicom's own decoder in Python, not by the library that did it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.datadict import tag_for_keyword
from pydicom.pixels.decoders.base import RLELosslessDecoder
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from radnode.pipelines.geometry import to_index
from radnode.pipelines.results import columns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from pydicom import Dataset

    from radnode.pipelines.geometry import Affine

# A voxel centre further than this part of a voxel from the grid is another place. Below it lies what scanners
# round: direction cosines of four decimals drift by a twentieth of a voxel over 512 columns.
GRID_TOLERANCE = 0.25


class Misplaced(ValueError):
    """Frames of a segmentation do not lie on the slices of the findings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """The frames of a segmentation, one row each, in the order of their pixels.

    segment: the one segment a frame shows; 0 in a label map. affine: (n, 3, 3), (row, column, 1) to LPS millimetres;
    None for images without a place in the patient. sources: (SOP Instance UID, frame number or None) each derives from.
    """

    segment: NDArray[np.int64]
    affine: NDArray[np.float64] | None
    sources: tuple[tuple[str, int | None], ...]


def _path(*keywords: str) -> columns.Path:
    return tuple(int(tag_for_keyword(keyword) or 0) for keyword in keywords)


_SEGMENT = _path("SegmentIdentificationSequence", "ReferencedSegmentNumber")
_POSITION = _path("PlanePositionSequence", "ImagePositionPatient")
_ORIENTATION = _path("PlaneOrientationSequence", "ImageOrientationPatient")
_SPACING = _path("PixelMeasuresSequence", "PixelSpacing")
_SOURCE = _path("DerivationImageSequence", "SourceImageSequence", "ReferencedSOPInstanceUID")
_SOURCE_FRAME = _path("DerivationImageSequence", "SourceImageSequence", "ReferencedFrameNumber")


def sequence_tables(dataset: Dataset, keyword: str) -> list[columns.Table]:
    """The items of a sequence as columns, from the bytes of the file. Raises ValueError."""
    element = dataset.get_item(keyword)
    if element is None:
        raise ValueError(f"no {keyword}")
    if not element.is_raw or not isinstance(element.value, bytes):
        raise ValueError(f"{keyword} was decoded before it could be read")
    return columns.tables(element.value)


def read_frames(segmentation: Dataset) -> Frames:
    """What each frame shows and where. Raises ValueError for what is no segmentation of ours."""
    count = int(segmentation.NumberOfFrames)
    tables = sequence_tables(segmentation, "PerFrameFunctionalGroupsSequence")
    if sum(len(table.rows) for table in tables) != count:
        raise ValueError(f"{sum(len(table.rows) for table in tables)} functional groups for {count} frames")
    shared = sequence_tables(segmentation, "SharedFunctionalGroupsSequence")[0]
    # Neither a label map nor a parametric map has a segment for each frame.
    label_map = segmentation.get("SegmentationType", "LABELMAP") == "LABELMAP"
    placed = any(_POSITION in table.columns for table in tables)
    segment = np.zeros(count, dtype=np.int64)
    affine = np.zeros((count, 3, 3))
    sources: list[tuple[str, int | None]] = [("", None)] * count
    for table in tables:
        if not label_map:
            segment[table.rows] = (table if _SEGMENT in table.columns else shared).numbers(_SEGMENT, "<u2")[:, 0]
        if placed:
            affine[table.rows] = _affines(table, shared)
        for row, source in zip(table.rows, _sources(table), strict=True):
            sources[row] = source
    return Frames(segment=segment, affine=affine if placed else None, sources=tuple(sources))


def on_slices(frames: Frames, grid: Affine, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """The slice of the grid that each frame is, pixel for pixel.

    grid: (4, 4), (slice, row, column, 1) to LPS millimetres; shape: (slices, rows, columns). Both are affine, so pixels
    that agree in three corners agree everywhere. Raises Misplaced for a frame beside the grid, turned, or outside it.
    """
    if frames.affine is None:
        raise Misplaced("the frames have no place in the patient")
    corners = np.array([[0, 0, 1], [shape[1] - 1, 0, 1], [0, shape[2] - 1, 1]], dtype=np.float64)
    points = np.einsum("nij,cj->nci", frames.affine, corners)
    index = to_index(grid, points.reshape(-1, 3)).reshape(-1, 3, 3)
    places = np.rint(index[:, 0, 0]).astype(np.int64)
    meant = np.empty_like(index)
    meant[:, :, 0] = places[:, np.newaxis]
    meant[:, :, 1:] = corners[:, :2]
    if np.abs(index - meant).max(initial=0.0) > GRID_TOLERANCE:
        raise Misplaced("frames do not lie on the images: beside them, turned, or of another spacing")
    if ((places < 0) | (places >= shape[0])).any():
        raise Misplaced("frames lie outside the images")
    return places


def planes(segmentation: Dataset) -> Iterator[NDArray[Any]]:
    """The pixels of each frame, (rows, columns): bool for BINARY, whole numbers for the others.

    Raises ValueError for an encoding that no writer of ours makes.
    """
    syntax = segmentation.file_meta.TransferSyntaxUID
    rows, columns_ = int(segmentation.Rows), int(segmentation.Columns)
    count, bits = int(segmentation.NumberOfFrames), int(segmentation.BitsAllocated)
    if syntax == RLELossless and bits in (8, 16):
        for plane, _ in RLELosslessDecoder.iter_array(segmentation, decoding_plugin="pydicom"):
            yield plane
        return
    if syntax != ExplicitVRLittleEndian or bits not in (1, 8, 16):
        raise ValueError(f"not an encoding of ours: {syntax}, {bits} bits")
    stored = np.frombuffer(segmentation.PixelData, dtype=np.uint8)
    size = rows * columns_
    if stored.size * 8 < size * count * bits:
        raise ValueError(f"{stored.size} bytes for {count} frames of {rows} x {columns_}, {bits} bits each")
    for number in range(count):
        if bits == 1:
            yield _bits(stored, number * size, size).reshape(rows, columns_)
        else:
            yield stored[number * size * bits // 8 :][: size * bits // 8].view(f"<u{bits // 8}").reshape(rows, columns_)


def masks(segmentation: Dataset, grid: Affine, shape: tuple[int, ...]) -> dict[int, NDArray[np.bool_]]:
    """Each segment of a BINARY or label map segmentation on a grid. Raises ValueError, Misplaced among them."""
    frames = read_frames(segmentation)
    found: dict[int, NDArray[np.bool_]] = {}
    for plane, place, segment in zip(
        planes(segmentation), on_slices(frames, grid, shape), frames.segment, strict=True
    ):
        shown = {int(segment): plane.astype(np.bool_)} if segment else {
            int(value): plane == value for value in np.unique(plane) if value
        }
        for number, mask in shown.items():
            found.setdefault(number, np.zeros(shape, dtype=np.bool_))[place] |= mask
    return found


def _affines(table: columns.Table, shared: columns.Table) -> NDArray[np.float64]:
    """PS3.3 C.7.6.2.1.1: the first three orientation values point along a row (growing column), Pixel Spacing is row
    first. A functional group macro stands in the frame's item or in the shared one (PS3.3 C.7.6.16).
    """
    def macro(path: columns.Path) -> NDArray[np.float64]:
        return (table if path in table.columns else shared).decimals(path)

    affine = np.empty((len(table.rows), 3, 3))
    orientation, spacing = macro(_ORIENTATION), macro(_SPACING)
    affine[:, :, 0] = orientation[:, 3:] * spacing[:, :1]
    affine[:, :, 1] = orientation[:, :3] * spacing[:, 1:]
    affine[:, :, 2] = macro(_POSITION)
    return affine


def _sources(table: columns.Table) -> list[tuple[str, int | None]]:
    if _SOURCE not in table.columns:
        return [("", None)] * len(table.rows)
    if len(table.columns[_SOURCE]) > 1:
        raise ValueError("a frame derives from more than one image")
    uids = [uid.decode("ascii", "replace") for uid in table.texts(_SOURCE).tolist()]
    if _SOURCE_FRAME not in table.columns:
        return [(uid, None) for uid in uids]
    return [(uid, int(number)) for uid, number in zip(uids, table.texts(_SOURCE_FRAME).tolist(), strict=True)]


def _bits(stored: NDArray[np.uint8], start: int, count: int) -> NDArray[np.bool_]:
    """PS3.5 8.1.1: one bit a pixel, the first pixel in the lowest bit, frames not padded to whole bytes."""
    first = start // 8
    unpacked = np.unpackbits(stored[first : (start + count + 7) // 8], bitorder="little")
    return unpacked[start - first * 8 :][:count].view(np.bool_)
