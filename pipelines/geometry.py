"""Volumes in patient coordinates.

Patient coordinates are LPS millimetres (x towards the patient's Left, y towards Posterior, z towards the
Head; PS3.3 C.7.6.2.1.1). An index is (slice, row, column), 0-based, with voxel centres on whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Affine = NDArray[np.float64]
Points = NDArray[np.float64]
Voxel = TypeVar("Voxel", bound=np.generic)

# Rows: the patient direction (LPS) that each axis of a canonical view follows.
_CANONICAL = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFrame:
    """The SOP instance, and the frame of it, that one slice of a volume came from.

    frame_number: 1-based as in DICOM; None for a single-frame instance.
    """

    sop_class_uid: str
    sop_instance_uid: str
    frame_number: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A gap-free stack of parallel slices.

    voxels: float32, shape (slices, rows, columns), in modality units (CT: Hounsfield units).
    affine: float64, shape (4, 4), from (slice, row, column, 1) to LPS millimetres.
    frames: the source of each slice, in voxel order.
    valid: bool, shape of `voxels`; False where the scanner wrote padding instead of a measurement.
    """

    voxels: NDArray[np.float32]
    affine: Affine
    frames: tuple[SourceFrame, ...]
    valid: NDArray[np.bool_]
    series_instance_uid: str
    frame_of_reference_uid: str

    def __post_init__(self) -> None:
        if self.voxels.ndim != 3 or self.voxels.shape[0] != len(self.frames):
            raise ValueError(f"{len(self.frames)} frames for voxels of shape {self.voxels.shape}")
        if self.valid.shape != self.voxels.shape:
            raise ValueError(f"valid has shape {self.valid.shape}, voxels {self.voxels.shape}")
        if self.affine.shape != (4, 4) or abs(np.linalg.det(self.affine[:3, :3])) < 1e-9:
            raise ValueError("the affine does not span a volume")

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxel centres along (slice, row, column), in millimetres."""
        slice_mm, row_mm, column_mm = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(slice_mm), float(row_mm), float(column_mm)

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel in cubic millimetres, also right for a sheared grid."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """A projection image (mammogram, radiograph): pixels without a place in the patient.

    pixels: float32, shape (rows, columns); larger is brighter on the screen (MONOCHROME1 is inverted).
    spacing_mm: between rows, between columns, at the detector; None if the image does not say.
    orientation: Patient Orientation (0020,0020), where a row and a column lead, as ("P", "F"); None if unknown.
    laterality: "L", "R", "B" or "" (Image Laterality). view: View Position, "" if unknown.
    """

    pixels: NDArray[np.float32]
    source: SourceFrame
    series_instance_uid: str
    spacing_mm: tuple[float, float] | None = None
    orientation: tuple[str, str] | None = None
    laterality: str = ""
    view: str = ""


def to_patient(affine: Affine, index: Points) -> Points:
    """Voxel centres in patient coordinates.

    affine: (4, 4). index: (n, 3), (slice, row, column). Returns (n, 3), LPS millimetres.
    """
    return np.asarray(index, dtype=np.float64) @ affine[:3, :3].T + affine[:3, 3]


def to_index(affine: Affine, points_lps: Points) -> Points:
    """The inverse of :func:`to_patient`: (n, 3) LPS millimetres to (n, 3) fractional (slice, row, column)."""
    return (np.asarray(points_lps, dtype=np.float64) - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T


@dataclass(frozen=True, slots=True, kw_only=True)
class Orientation:
    """How to see a volume as a patient who stands and faces the reader: a transposition, then flips.

    In the canonical view axis 0 grows towards the head, axis 1 backwards and axis 2 to the patient's left, as
    nearly as the volume's axes allow.
    """

    axes: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]

    def view(self, array: NDArray[Voxel]) -> NDArray[Voxel]:
        """A volume's array in canonical order, without a copy."""
        return array.transpose(self.axes)[self._flips()]

    def back(self, array: NDArray[Voxel]) -> NDArray[Voxel]:
        """The inverse of :meth:`view`, as a contiguous array."""
        return np.ascontiguousarray(array[self._flips()].transpose(np.argsort(self.axes)))

    def affine(self, volume: Volume) -> Affine:
        """Canonical index of a volume to LPS millimetres."""
        canonical = np.eye(4)
        canonical[:3, 3] = volume.affine[:3, 3]
        for axis, (source, flip) in enumerate(zip(self.axes, self.flipped, strict=True)):
            step = volume.affine[:3, source]
            if flip:
                canonical[:3, 3] += step * (volume.voxels.shape[source] - 1)
            canonical[:3, axis] = -step if flip else step
        return canonical

    def _flips(self) -> tuple[slice, ...]:
        return tuple(slice(None, None, -1 if flip else None) for flip in self.flipped)


def orientation_of(affine: Affine) -> Orientation:
    """The transposition and flips that come nearest to the canonical order."""
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    alignment = _CANONICAL @ directions
    axes = max(permutations(range(3)), key=lambda order: sum(abs(alignment[i, order[i]]) for i in range(3)))
    first, second, third = (bool(alignment[i, axes[i]] < 0) for i in range(3))
    return Orientation(axes=(axes[0], axes[1], axes[2]), flipped=(first, second, third))
