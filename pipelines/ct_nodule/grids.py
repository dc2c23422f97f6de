"""Cubes of the images on grids of equal spacing along the patient's axes: where shapes are looked at.

A grid's index is (up, back, left): axis 0 grows towards the head, axis 1 backwards, axis 2 to the patient's left,
whatever way the images lie. So an axial plane of a grid is an axial plane of the patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radnode.pipelines.geometry import Affine

# Of a grid index, to LPS.
_AXES = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
# Planes that are sampled at once: bounds memory, not speed.
_SLAB = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """origin_lps: of index (0, 0, 0), millimetres. mm: spacing along all axes. shape: (up, back, left)."""

    origin_lps: tuple[float, float, float]
    mm: float
    shape: tuple[int, int, int]

    @property
    def affine(self) -> Affine:
        """Index to LPS millimetres."""
        affine = np.eye(4)
        affine[:3, :3] = _AXES * self.mm
        affine[:3, 3] = self.origin_lps
        return affine

    def index(self, points_lps: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 3) LPS millimetres to (n, 3) fractional indices."""
        return (np.asarray(points_lps, np.float64) - self.origin_lps)[:, ::-1] / self.mm

    def points(self, index: NDArray[np.float64]) -> NDArray[np.float64]:
        """The inverse of :meth:`index`."""
        return np.asarray(index, np.float64)[:, ::-1] * self.mm + self.origin_lps


def around(low_lps: NDArray[np.float64], high_lps: NDArray[np.float64], mm: float) -> Grid:
    """A grid that holds a box along the patient's axes."""
    size = np.ceil((np.asarray(high_lps) - low_lps) / mm).astype(int)[::-1] + 1
    x, y, z = (float(each) for each in low_lps)
    return Grid(origin_lps=(x, y, z), mm=mm, shape=(int(size[0]), int(size[1]), int(size[2])))


def within(shape: tuple[int, ...], affine: Affine, grid: Grid) -> NDArray[np.bool_]:
    """Which places of a grid lie in a voxel of another, (slices, rows, columns) with that affine."""
    to_index = np.linalg.inv(affine) @ grid.affine
    axes = np.ogrid[tuple(slice(size) for size in grid.shape)]
    lie = np.ones(grid.shape, np.bool_)
    for row, size in zip(to_index[:3], shape, strict=True):
        place = row[3] + sum(weight * axis for weight, axis in zip(row, axes, strict=False) if weight)
        lie &= (place > -0.5) & (place < size - 0.5)
    return lie


def sampled(values: NDArray[np.float32], affine: Affine, grid: Grid, device: str = "cpu") -> NDArray[np.float32]:
    """Values, given on an index grid with that affine, on another grid: linearly, at borders the nearest.

    values: (slices, rows, columns). Returns float32 of the grid's shape.
    """
    to_index = np.linalg.inv(affine) @ grid.affine
    # Only the part that is asked for goes to the device.
    corners = np.array(np.meshgrid(*((0, size - 1) for size in grid.shape), indexing="ij")).reshape(3, -1).T
    ends = corners @ to_index[:3, :3].T + to_index[:3, 3]
    limits = np.array(values.shape)
    low = np.clip(np.floor(ends.min(0)) - 1, 0, limits - 1).astype(int)
    high = np.clip(np.ceil(ends.max(0)) + 2, low + 1, limits).astype(int)
    part = np.ascontiguousarray(values[tuple(slice(a, b) for a, b in zip(low, high, strict=True))], np.float32)
    source = torch.from_numpy(part).to(device)[None, None]
    scale = 2 / np.maximum(high - low - 1, 1)
    matrix = torch.tensor(to_index[:3, :3] * scale[:, None], dtype=torch.float32, device=device)
    shift = torch.tensor((to_index[:3, 3] - low) * scale - 1, dtype=torch.float32, device=device)
    back, left = (torch.arange(size, dtype=torch.float32, device=device) for size in grid.shape[1:])
    plane = back[:, None, None] * matrix[:, 1] + left[None, :, None] * matrix[:, 2] + shift
    result = np.empty(grid.shape, np.float32)
    for first in range(0, grid.shape[0], _SLAB):
        up = torch.arange(first, min(first + _SLAB, grid.shape[0]), dtype=torch.float32, device=device)
        places = up[:, None, None, None] * matrix[:, 0] + plane
        # grid_sample wants the last axis first.
        taken = functional.grid_sample(source, places.flip(-1)[None], mode="bilinear", padding_mode="border",
                                       align_corners=True)
        result[first : first + len(up)] = taken[0, 0].cpu().numpy()
    return result
