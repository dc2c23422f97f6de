"""MONAI's linear and nearest-neighbour resampling between grids whose axes run alike, one axis after the other.

MONAI names the place of every voxel of the new grid (24 bytes each) and mixes eight neighbours for each. Where an index
along one axis depends on nothing but the index along the same axis, as between spacings, two neighbours along each axis
say the same. The numbers are MONAI's: the same places and weights in float64, rounded once to float32. What is not
covered here is MONAI's own: other devices than the CPU, rotations and shears, splines, reflection, computation in less
than float64, and nearest neighbours where two are equally near, among which the last bit of a sum decides.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.networks.layers.spatial_transforms import AffineTransform
from monai.transforms.spatial import functional

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

_STRAIGHT = 1e-9  # of a voxel, over the whole grid: what is left of zeros in a product of matrices
_TIE = 1e-6  # of a voxel


@dataclass(frozen=True, slots=True)
class Axis:
    """Which voxels along one axis become one, and their weights. Each: (size of the new grid)."""

    size: int
    first: NDArray[np.intp]
    of_first: NDArray[np.float64]
    second: NDArray[np.intp] | None = None
    of_second: NDArray[np.float64] | None = None

    @property
    def grows(self) -> float:
        """New size by old size."""
        return len(self.first) / self.size

    def along(self, values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        """Resample that axis of a plane."""
        shape = (-1, 1) if axis == 0 else (1, -1)
        found = values.take(self.first, axis)
        found *= self.of_first.reshape(shape)
        if self.second is not None and self.of_second is not None:
            more = values.take(self.second, axis)
            more *= self.of_second.reshape(shape)
            found += more
        return found


class AxisAligned(AffineTransform):
    """MONAI's AffineTransform, which stands in its place within :func:`axis_by_axis`."""

    def forward(
        self, src: torch.Tensor, theta: torch.Tensor, spatial_size: Sequence[int] | int | None = None
    ) -> torch.Tensor:
        """src: (1, channels, *grid). theta: index of the new grid to index of the old one."""
        axes = self._axes(src, theta, spatial_size)
        if axes is None:
            return super().forward(src, theta, spatial_size)
        return torch.from_numpy(resampled(src[0].numpy(), axes))[None]

    def _axes(self, src: torch.Tensor, theta: torch.Tensor, spatial_size: Any) -> list[Axis] | None:
        """None for what is not covered."""
        plain = (src.ndim == 5 and len(src) == 1 and theta.shape == (4, 4) and spatial_size is not None
                 and not self.normalized and self.reverse_indexing and not self.zero_centered)
        if not plain or src.dtype != torch.float64 or src.device.type != "cpu":
            return None
        old, new = [int(each) for each in src.shape[2:]], [int(each) for each in spatial_size]
        sheared = theta[:3, :3] - torch.diag(theta.diagonal()[:3])
        if float((sheared.abs() @ torch.tensor(new, dtype=theta.dtype)).max()) > _STRAIGHT or min(old + new) < 2:
            return None
        places = [float(theta[axis, axis]) * np.arange(size, dtype=np.float64) + float(theta[axis, 3])
                  for axis, size in enumerate(new)]
        found = [axis_of(along, size, str(self.mode), str(self.padding_mode))
                 for along, size in zip(places, old, strict=True)]
        covered = [each for each in found if each is not None]
        return covered if len(covered) == len(found) else None


def axis_of(places: NDArray[np.float64], size: int, mode: str, padding: str) -> Axis | None:
    """The neighbours of these places among `size` voxels, as torch's `grid_sample` has them; None if not covered."""
    if padding not in ("border", "zeros") or mode not in ("bilinear", "nearest"):
        return None
    if padding == "border":
        places = places.clip(0, size - 1)
    below = np.floor(places)
    if mode == "nearest":
        if (np.abs(places - below - 0.5) < _TIE).any():
            return None
        return Axis(size, *_tap(np.rint(places), np.ones(len(places)), size))
    return Axis(size, *_tap(below, below + 1 - places, size), *_tap(below + 1, places - below, size))


def resampled(values: NDArray[np.float64], axes: Sequence[Axis]) -> NDArray[np.float32]:
    """values: (channels, and three axes)."""
    found = np.empty((len(values), *[len(each.first) for each in axes]), dtype=np.float32)
    threads = torch.get_num_threads()
    parts = np.array_split(np.arange(found.shape[1]), min(threads, found.shape[1]))

    def compute(channel: int, part: NDArray[np.intp]) -> None:
        for index, plane in zip(part.tolist(), _planes(values[channel], axes, part), strict=True):
            found[channel, index] = plane

    with ThreadPoolExecutor(threads) as pool:
        for each in [pool.submit(compute, channel, part) for channel in range(len(values)) for part in parts]:
            each.result()
    return found


def _planes(
    values: NDArray[np.float64], axes: Sequence[Axis], wanted: NDArray[np.intp]
) -> Iterator[NDArray[np.float64]]:
    """Those planes of the new grid. What makes an image larger comes last."""
    across, *within = axes
    steps = sorted(enumerate(within), key=lambda each: each[1].grows)

    def in_plane(plane: NDArray[np.float64]) -> NDArray[np.float64]:
        for place, axis in steps:
            plane = axis.along(plane, place)
        return plane

    larger = across.grows >= 1
    at = lru_cache(maxsize=2)(lambda index: in_plane(values[index]) if larger else values[index])
    for index in wanted.tolist():
        plane = at(int(across.first[index])) * across.of_first[index]
        if across.second is not None and across.of_second is not None:
            plane += at(int(across.second[index])) * across.of_second[index]
        yield plane if larger else in_plane(plane)


def _tap(
    index: NDArray[np.float64], weight: NDArray[np.float64], size: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Outside of the image is nothing."""
    inside = (index >= 0) & (index < size)
    return index.clip(0, size - 1).astype(np.intp), weight * inside


@contextmanager
def axis_by_axis() -> Iterator[None]:
    """Within, MONAI's transforms and their inverses resample this way. Not for two threads at once."""
    module: Any = functional
    kept = module.AffineTransform
    module.AffineTransform = AxisAligned
    try:
        yield
    finally:
        module.AffineTransform = kept
