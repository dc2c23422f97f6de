"""Sizes and kind of a nodule, from its outline between the voxels.

Diameters are those of the axial plane in which the nodule is longest: the longest diameter, the width at right angles
to it, and their mean, which the Fleischner Society (Radiology 284:228, 2017) and Lung-RADS measure by.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import contourpy
import numpy as np
from scipy import ndimage
from scipy.spatial.distance import cdist

from radnode.pipelines.ct_nodule.grids import Grid, around, sampled, within
from radnode.pipelines.ct_nodule.outline import outlined

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radnode.pipelines.ct_nodule.field import Field
    from radnode.pipelines.ct_nodule.marks import Mark
    from radnode.pipelines.ct_nodule.outline import Outline
    from radnode.pipelines.geometry import Volume

# Kinds are told where blurred borders leave something: below this much tissue they are not.
_CORE_MM, _CORE_MM3 = 1.2, 30.0
_SOLID_HU, _GROUND_GLASS_HU = -300.0, (-800.0, -300.0)
# The border of ground glass against lung; how much larger than its solid part a part-solid nodule is at least.
_FAINT_HU, _RIM_MM = 110.0, 1.5


class Kind(StrEnum):
    """What a nodule is made of, by its density."""

    SOLID = "solid"
    PART_SOLID = "part-solid"
    GROUND_GLASS = "ground-glass"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodule:
    """A nodule, measured. Millimetres, mm3, HU.

    mask: bool, on `grid`. ends_lps: of the longest diameter, (2, 3). solid_mm: mean diameter of the solid part of a
    part-solid nodule.
    """

    grid: Grid
    mask: NDArray[np.bool_]
    center_lps: tuple[float, float, float]
    long_mm: float
    short_mm: float
    ends_lps: NDArray[np.float64]
    volume_mm3: float
    mean_hu: float
    kind: Kind
    solid_mm: float | None = None

    @property
    def mean_mm(self) -> float:
        """Mean of the longest diameter and the one at right angles to it."""
        return (self.long_mm + self.short_mm) / 2


def measured(volume: Volume, field: Field, mark: Mark, device: str) -> Nodule | None:
    """The nodule at a mark; None if nothing there has an outline."""
    radius = mark.diameter_mm / 2
    reach = 2.2 * radius + 6
    center = np.array(mark.center_lps)
    grid = around(center - reach, center + reach, 0.5 if radius < 5 else 0.8)
    hu = sampled(volume.voxels, volume.affine, grid, device)
    inside = sampled(field.inside.astype(np.float32), field.grid.affine, grid, device) >= 0.5
    inside &= within(volume.voxels.shape, volume.affine, grid)
    middle = grid.index(center[np.newaxis])[0]
    whole = outlined(hu, inside, middle, radius, grid.mm)
    if whole is None:
        return None
    faint = outlined(hu, inside, middle, radius, grid.mm, above_lung_hu=_FAINT_HU)
    blur = max(0.0, volume.spacing_mm[0] - 1.0) / 2
    core = None
    if faint is not None and faint.radius_mm - whole.radius_mm > _RIM_MM + blur and whole.core_hu > _SOLID_HU:
        core, whole = whole, faint
    ends, long, short = _axes(hu, whole, grid)
    values = hu[whole.mask]
    place = grid.points(np.array([ndimage.center_of_mass(whole.mask)]))[0]
    return Nodule(
        grid=grid, mask=whole.mask, center_lps=(float(place[0]), float(place[1]), float(place[2])),
        long_mm=long, short_mm=short, ends_lps=ends, volume_mm3=float(whole.mask.sum()) * grid.mm**3,
        mean_hu=float(values.mean(dtype=np.float64)), kind=Kind.PART_SOLID if core is not None else _kind(hu, whole),
        solid_mm=None if core is None else sum(_axes(hu, core, grid)[1:]) / 2,
    )


def _kind(hu: NDArray[np.float32], outline: Outline) -> Kind:
    depth = ndimage.distance_transform_edt(outline.mask) * outline.mm
    core = hu[depth > _CORE_MM]
    if core.size * outline.mm**3 < _CORE_MM3:
        return Kind.UNKNOWN
    solid = float((core > _SOLID_HU).mean())
    if solid > 0.8:
        return Kind.SOLID
    low, high = _GROUND_GLASS_HU
    return Kind.GROUND_GLASS if solid < 0.1 and low < float(core.mean()) < high else Kind.UNKNOWN


def _axes(hu: NDArray[np.float32], outline: Outline, grid: Grid) -> tuple[NDArray[np.float64], float, float]:
    """Ends (2, 3) in LPS of the longest axial diameter, its length, and the width at right angles to it."""
    near = ndimage.binary_dilation(outline.mask)
    shown = np.where(near, hu, np.minimum(hu, outline.background_hu))
    best: tuple[float, int, NDArray[np.float64], NDArray[np.float64]] | None = None
    for up in np.flatnonzero(outline.mask.any(axis=(1, 2))):
        lines: Any = contourpy.contour_generator(z=shown[up]).lines(outline.threshold_hu)
        points: NDArray[np.float64] = np.vstack(lines) if lines else np.zeros((0, 2))
        if len(points) < 3:
            continue
        apart = cdist(points, points)
        one, other = np.unravel_index(int(apart.argmax()), apart.shape)
        if best is None or apart[one, other] > best[0]:
            best = float(apart[one, other]), int(up), points[[one, other]], points
    if best is None:  # one grain of a voxel
        at = np.argwhere(outline.mask).mean(0)
        return grid.points(np.stack([at, at])), grid.mm, grid.mm
    length, at_slice, ends, points = best
    along = (ends[1] - ends[0]) / length
    across = points @ np.array([-along[1], along[0]])
    index = np.column_stack([[at_slice, at_slice], ends[:, 1], ends[:, 0]])
    return grid.points(index), length * grid.mm, float(np.ptp(across)) * grid.mm


def on_images(nodule: Nodule, volume: Volume) -> tuple[tuple[slice, ...], NDArray[np.bool_]]:
    """The nodule on the grid of the images: the box of it, and its mask there; at least the voxel at its middle."""
    ends = nodule.grid.points(np.array(np.meshgrid(
        *((0, size - 1) for size in nodule.mask.shape), indexing="ij")).reshape(3, -1).T.astype(np.float64))
    inverse = np.linalg.inv(volume.affine)
    index = ends @ inverse[:3, :3].T + inverse[:3, 3]
    shape = np.array(volume.voxels.shape)
    low = np.clip(np.floor(index.min(0)), 0, shape - 1).astype(int)
    high = np.clip(np.ceil(index.max(0)) + 1, low + 1, shape).astype(int)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    places = np.stack(np.meshgrid(*(np.arange(each.start, each.stop) for each in box), indexing="ij"), -1)
    points = places.reshape(-1, 3) @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    share = ndimage.map_coordinates(nodule.mask.astype(np.float32), nodule.grid.index(points).T, order=1)
    mask = (share >= 0.5).reshape(places.shape[:-1])
    if not mask.any():
        mask.flat[int(np.linalg.norm(points - nodule.center_lps, axis=1).argmin())] = True
    return box, mask
