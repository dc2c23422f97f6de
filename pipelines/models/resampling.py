"""MONAI's linear and nearest-neighbour resampling between grids whose axes run alike, one axis after the other.

MONAI names the place of every voxel of the new grid (24 bytes each) and mixes eight neighbours for each. Where an index
along one axis depends on nothing but the index along the same axis, as between spacings, two neighbours along each axis
say the same. The numbers are MONAI's: the same places and weights in float64, rounded once to float32. What is not
covered here is MONAI's own: other devices than the CPU, rotations and shears, splines, reflection, computation in less
than float64, and nearest neighbours where two are equally near, among which the last bit of a sum decides.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from monai.networks.layers.spatial_transforms import AffineTransform
from monai.transforms.spatial import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_STRAIGHT = 1e-9  # of a voxel, over the whole grid: what is left of zeros in a product of matrices
_TIE = 1e-6  # of a voxel


@dataclass(frozen=True, slots=True)
class Axis:
    """Which voxels along one axis become one, and their weights. Each: (size of the new grid)."""

    size: int
    first: torch.Tensor
    of_first: torch.Tensor
    second: torch.Tensor | None = None
    of_second: torch.Tensor | None = None

    @property
    def grows(self) -> float:
        """New size by old size."""
        return len(self.first) / self.size

    def along(self, values: torch.Tensor, axis: int) -> torch.Tensor:
        """Resample that axis of a plane."""
        shape = [-1 if place == axis else 1 for place in range(values.ndim)]
        found = values.index_select(axis, self.first).mul_(self.of_first.view(shape))
        if self.second is None or self.of_second is None:
            return found
        return found.addcmul_(values.index_select(axis, self.second), self.of_second.view(shape))


class AxisAligned(AffineTransform):
    """MONAI's AffineTransform, which stands in its place within :func:`axis_by_axis`."""

    def forward(
        self, src: torch.Tensor, theta: torch.Tensor, spatial_size: Sequence[int] | int | None = None
    ) -> torch.Tensor:
        """src: (1, channels, *grid). theta: index of the new grid to index of the old one."""
        axes = self._axes(src, theta, spatial_size)
        if axes is None:
            return super().forward(src, theta, spatial_size)
        return torch.stack([resampled(channel, axes) for channel in src[0]])[None]

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
        found = [axis_of(theta[axis, axis] * torch.arange(size, dtype=torch.float64) + theta[axis, 3], old[axis],
                         str(self.mode), str(self.padding_mode)) for axis, size in enumerate(new)]
        covered = [each for each in found if each is not None]
        return covered if len(covered) == len(found) else None


def axis_of(places: torch.Tensor, size: int, mode: str, padding: str) -> Axis | None:
    """The neighbours of these places among `size` voxels, as torch's `grid_sample` has them; None if not covered."""
    if padding not in ("border", "zeros") or mode not in ("bilinear", "nearest"):
        return None
    if padding == "border":
        places = places.clamp(0, size - 1)
    if mode == "nearest":
        if bool(((places - places.floor() - 0.5).abs() < _TIE).any()):
            return None
        return Axis(size, *_tap(places.round(), torch.ones_like(places), size))
    below = places.floor()
    return Axis(size, *_tap(below, below + 1 - places, size), *_tap(below + 1, places - below, size))


def resampled(values: torch.Tensor, axes: Sequence[Axis]) -> torch.Tensor:
    """values: float64, three axes. Returns float32."""
    across, *within = axes
    steps = sorted(enumerate(within), key=lambda each: each[1].grows)

    def in_plane(plane: torch.Tensor) -> torch.Tensor:
        for place, axis in steps:
            plane = axis.along(plane, place)
        return plane

    found = torch.empty([len(each.first) for each in axes], dtype=torch.float32)
    for index, plane in enumerate(_planes(values, across, in_plane)):
        found[index] = plane
    return found


def _planes(
    values: torch.Tensor, across: Axis, in_plane: Callable[[torch.Tensor], torch.Tensor]
) -> Iterator[torch.Tensor]:
    """Each plane of the new grid; what makes planes larger comes last."""
    first_in_plane = across.grows >= 1
    at = lru_cache(maxsize=2)(lambda index: in_plane(values[index]) if first_in_plane else values[index])
    firsts, of_first = across.first.tolist(), across.of_first.tolist()
    seconds = across.second.tolist() if across.second is not None else None
    of_second = across.of_second.tolist() if across.of_second is not None else []
    for index, (first, share) in enumerate(zip(firsts, of_first, strict=True)):
        plane = at(first) * share
        if seconds is not None and of_second[index]:
            plane.add_(at(seconds[index]), alpha=of_second[index])
        yield plane if first_in_plane else in_plane(plane)


def _tap(index: torch.Tensor, weight: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Outside of the image is nothing."""
    inside = (index >= 0) & (index < size)
    return index.clamp(0, size - 1).long(), weight * inside


@contextmanager
def axis_by_axis() -> Iterator[None]:
    """Within, MONAI's transforms and their inverses resample this way. Not for two threads at once."""
    kept = functional.AffineTransform
    functional.AffineTransform = AxisAligned
    try:
        yield
    finally:
        functional.AffineTransform = kept
