"""The two grids that lungs are segmented on: the images', and a coarse one of about 2 mm.

Both are seen in canonical order: axis 0 grows towards the head, axis 1 backwards, axis 2 to the patient's
left, as nearly as the images allow. Sides are nevertheless told by patient coordinates, never by array axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radnode.pipelines.geometry import Affine, Orientation, Volume

COARSE_MM = 2.2
AIR_HU = -1000.0
# Coarse layers that are handled at once where the images' own grid is touched: bounds memory, not speed.
_SLAB = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Coarse:
    """The coarse grid.

    hu: float32, mean of each block. affine: coarse index to LPS millimetres. factors: voxels of the images
    per coarse voxel, along each axis.
    """

    hu: NDArray[np.float32]
    affine: Affine
    factors: tuple[int, int, int]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between coarse voxel centres along each axis."""
        first, second, third = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(first), float(second), float(third)

    @property
    def voxel_ml(self) -> float:
        """Volume of one coarse voxel in millilitres."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000

    def x_mm(self, index: NDArray[np.float64]) -> NDArray[np.float64]:
        """Patient x (towards the left) of coarse indices, shape (n, 3)."""
        return np.asarray(index @ self.affine[0, :3] + self.affine[0, 3], np.float64)


def coarsen(volume: Volume, orientation: Orientation, device: str) -> Coarse:
    """Block means of the images; what the scanner did not measure counts as air."""
    hu, valid = orientation.view(volume.voxels), orientation.view(volume.valid)
    affine = orientation.affine(volume)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    first, second, third = (max(1, round(COARSE_MM / float(each))) for each in spacing)
    factors = (first, second, third)
    step = _SLAB * first
    layers = [
        functional.avg_pool3d(
            torch.where(_tensor(valid[at : at + step], device), _tensor(hu[at : at + step], device), AIR_HU)[
                None, None
            ],
            factors,
            ceil_mode=True,
            count_include_pad=False,
        )[0, 0].cpu()
        for at in range(0, hu.shape[0], step)
    ]
    coarse_affine = affine.copy()
    coarse_affine[:3, :3] *= np.array(factors)
    coarse_affine[:3, 3] += affine[:3, :3] @ ((np.array(factors) - 1) / 2)
    return Coarse(hu=torch.cat(layers).numpy(), affine=coarse_affine, factors=factors)


def refine(
    volume: Volume,
    orientation: Orientation,
    coarse: Coarse,
    masks: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    threshold_hu: float,
    device: str,
) -> NDArray[np.bool_]:
    """A coarse segment on the images' grid, shape as the volume.

    masks: (core, reach). The core belongs to it whatever its density (vessels); inside the reach, voxels
    below the threshold do.
    """
    hu = orientation.view(volume.voxels)
    result = np.zeros(hu.shape, np.bool_)
    core, reach = masks
    layers = np.flatnonzero(reach.any(axis=(1, 2)))
    factor = coarse.factors[0]
    for first in range(int(layers[0]) if layers.size else 0, int(layers[-1]) + 1 if layers.size else 0, _SLAB):
        last = min(first + _SLAB, coarse.hu.shape[0])
        at = slice(first * factor, min(last * factor, hu.shape[0]))
        fine_core, fine_reach = (_enlarge(mask, first, last, coarse.factors, device) for mask in (core, reach))
        block = _tensor(hu[at], device)
        rows, columns, depth = block.shape[1], block.shape[2], block.shape[0]
        inside = fine_core[:depth, :rows, :columns] | ((block < threshold_hu) & fine_reach[:depth, :rows, :columns])
        result[at] = inside.cpu().numpy()
    return orientation.back(result)


def _enlarge(
    mask: NDArray[np.bool_], first: int, last: int, factors: tuple[int, int, int], device: str
) -> torch.Tensor:
    """Layers of a coarse mask on the images' grid, with a smooth border (trilinear, half level)."""
    below, above = max(first - 1, 0), min(last + 1, mask.shape[0])
    block = _tensor(mask[below:above], device).float()[None, None]
    fine = functional.interpolate(
        block, scale_factor=[float(each) for each in factors], mode="trilinear", align_corners=False
    )[0, 0]
    start = (first - below) * factors[0]
    return fine[start : start + (last - first) * factors[0]] >= 0.5


def _tensor(array: NDArray[np.generic], device: str) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)
