"""Volumes in patient coordinates, and images that have none.

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
class FlatImage:
    """An image without a place in the patient, or one frame of it: its pixels are counted in rows and columns alone.

    spacing_mm: between rows, between columns; of a radiograph at the detector (Imager Pixel Spacing), where distances
    are larger than in the body. None if the image does not say.
    spacing_in_patient_mm: the same where a calibration corrected it for magnification (Pixel Spacing, PS3.3 10.7.1.3).
    orientation: Patient Orientation (0020,0020), where a row and a column lead, as ("P", "F"); None if unknown.
    laterality: "L", "R", "B" or "" (Image Laterality). view: View Position, "" if unknown.
    """

    source: SourceFrame
    series_instance_uid: str
    spacing_mm: tuple[float, float] | None = None
    spacing_in_patient_mm: tuple[float, float] | None = None
    orientation: tuple[str, str] | None = None
    laterality: str = ""
    view: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection(FlatImage):
    """A projection image (mammogram, radiograph).

    pixels: float32, shape (rows, columns), after the modality transformation; larger is brighter on the screen
    (MONOCHROME1 is inverted). Padding has the darkest value of the rest.
    display: uint8, shape of `pixels`, as the image's own window or VOI LUT shows it, 0 black; None if not asked for.
    valid: bool, shape of `pixels`, False where there is padding; None if there is none.
    magnification: how much larger the detector shows what lies in the body, as the image says; None if it does not.
    mirror: of a MONOCHROME1 image, what `pixels` and the values in the file add up to.
    implant: Breast Implant Present; None if unknown. partial: only a part of the breast is shown (Partial View).
    """

    pixels: NDArray[np.float32]
    display: NDArray[np.uint8] | None = None
    valid: NDArray[np.bool_] | None = None
    magnification: float | None = None
    mirror: float | None = None
    implant: bool | None = None
    partial: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.pixels.shape[0], self.pixels.shape[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourImage(FlatImage):
    """A colour image (endoscopy, fundus, photograph), or one frame of it.

    rgb: uint8, shape (rows, columns, 3), red first, as stored: an ICC profile is not applied.
    """

    rgb: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.rgb.dtype != np.uint8 or self.rgb.ndim != 3 or self.rgb.shape[2] != 3:
            raise ValueError(f"{self.rgb.dtype} of shape {self.rgb.shape} is no RGB image")

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.rgb.shape[0], self.rgb.shape[1]


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
