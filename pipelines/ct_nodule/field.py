"""Where nodules are looked for: each lung, closed over what lies at its surface.

A lung found by its air leaves out a nodule at the pleura. Closing with a ball larger than the nodule brings it back
(rolling ball: Armato, RadioGraphics 19:1303, 1999); what else it brings, vessels of the hilum above all, is told apart
by shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from radnode.pipelines.ct_nodule.grids import Grid, around, sampled, within
from radnode.pipelines.geometry import to_patient

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radnode.pipelines.ct_lung.lungs import Lungs
    from radnode.pipelines.geometry import Volume

SPACING_MM = 1.0
_CLOSING_MM, _CLOSING_GRID_MM = 16.0, 2.0
_AIRLESS_HU = -600.0
AIR_HU = -1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One lung on a grid of :data:`SPACING_MM`.

    hu: float32. inside: bool, where nodules are looked for. background_hu: of aerated lung, its median.
    """

    side: str
    grid: Grid
    hu: NDArray[np.float32]
    inside: NDArray[np.bool_]
    background_hu: float

    def holds(self, point_lps: tuple[float, float, float]) -> bool:
        """Whether a place in the patient is one where nodules are looked for."""
        place = np.rint(self.grid.index(np.array([point_lps]))[0]).astype(int)
        return bool((place >= 0).all() and (place < self.grid.shape).all() and self.inside[tuple(place)])


def fields(volume: Volume, lungs: Lungs, device: str) -> tuple[Field, ...]:
    """One for each lung that was found."""
    hu = volume.voxels if volume.valid.all() else np.where(volume.valid, volume.voxels, np.float32(AIR_HU))
    return tuple(
        _field(side, hu, volume, mask, device)
        for side, mask in (("left", lungs.left), ("right", lungs.right)) if mask is not None
    )


def _field(
    side: str, hu: NDArray[np.float32], volume: Volume, mask: NDArray[np.bool_], device: str
) -> Field:
    box = ndimage.find_objects(mask.view(np.uint8))[0]
    corners = np.array(np.meshgrid(*((each.start, each.stop - 1) for each in box), indexing="ij")).reshape(3, -1).T
    ends = to_patient(volume.affine, corners.astype(np.float64))
    low, high = ends.min(0) - 2 * _CLOSING_GRID_MM, ends.max(0) + 2 * _CLOSING_GRID_MM
    coarse = around(low, high, _CLOSING_GRID_MM)
    lung = sampled(mask.view(np.uint8), volume.affine, coarse, device) >= 0.5
    closed = _closed(lung)
    grid = around(low, high, SPACING_MM)
    inside = sampled(closed.astype(np.float32), coarse.affine, grid, device) >= 0.5
    inside &= within(mask.shape, volume.affine, grid)  # a lung that the images cut goes on beyond them
    values = sampled(hu, volume.affine, grid, device)
    aerated = values[::2, ::2, ::2][inside[::2, ::2, ::2]]
    aerated = aerated[aerated < _AIRLESS_HU]
    return Field(side=side, grid=grid, hu=values, inside=inside,
                 background_hu=float(np.median(aerated)) if aerated.size else AIR_HU)


def _closed(lung: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Closing with a ball, and holes filled. The images' end is no surface: beyond it nothing is added."""
    reach = round(_CLOSING_MM / _CLOSING_GRID_MM) + 1
    padded = np.pad(lung, reach)
    grown = ndimage.distance_transform_edt(~padded) * _CLOSING_GRID_MM <= _CLOSING_MM
    shrunk = ndimage.distance_transform_edt(grown) * _CLOSING_GRID_MM > _CLOSING_MM
    inner = (slice(reach, -reach),) * 3
    return np.asarray(ndimage.binary_fill_holes(shrunk[inner] | lung))
