"""MONAI's resampling one axis at a time, where the grids are parallel: the same interpolation, several times faster.

Trilinear interpolation between grids whose axes are parallel (a change of spacing, as Spacing and its inversion make)
is linear interpolation along each axis in turn. MONAI computes it through a grid of a coordinate for each voxel, in
double precision. Here it is done along one axis after the other, also in double precision where MONAI asks for it; the
sums are rounded in another order, nothing else differs. Everything else, and every device but the CPU, is MONAI's own.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from monai.networks.layers.spatial_transforms import AffineTransform
from monai.transforms.spatial import functional
from monai.utils.misc import ensure_tuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PARALLEL = 1e-6
"""Voxels by which a far corner may lie beside the axis: rounding of an affine in double precision."""


@contextmanager
def axis_by_axis() -> Iterator[None]:
    """Within, MONAI resamples between parallel grids axis by axis."""
    theirs = functional.AffineTransform
    functional.AffineTransform = _AxisByAxis  # type: ignore[misc]
    try:
        yield
    finally:
        functional.AffineTransform = theirs  # type: ignore[misc]


class _AxisByAxis(AffineTransform):
    """MONAI's layer; theta: (4, 4) from an index in the result to one in the source, as spatial_resample gives it."""

    def forward(
        self, src: torch.Tensor, theta: torch.Tensor, spatial_size: Sequence[int] | int | None = None
    ) -> torch.Tensor:
        size = tuple(int(each) for each in ensure_tuple(spatial_size)) if spatial_size is not None else None
        if size is None or not self._can(src, theta, size):
            return super().forward(src, theta, spatial_size)
        scale, offset = theta.diagonal()[:3].tolist(), theta[:3, 3].tolist()
        # What makes the image smaller first: less is left to do.
        for axis in sorted(range(3), key=lambda each: size[each] / src.shape[each + 2]):
            along = scale[axis] * torch.arange(size[axis], dtype=torch.float64) + offset[axis]
            src = _along(src, axis + 2, along, self.mode, border=self.padding_mode == "border")
        return src

    def _can(self, src: torch.Tensor, theta: torch.Tensor, size: tuple[int, ...]) -> bool:
        if src.device.type != "cpu" or src.dim() != 5 or theta.shape != (4, 4) or not src.is_floating_point():
            return False
        if self.normalized or self.zero_centered or not self.reverse_indexing:
            return False
        if self.mode not in ("bilinear", "nearest") or self.padding_mode not in ("border", "zeros"):
            return False
        aside = theta[:3, :3] - torch.diag(theta.diagonal()[:3])
        return float((aside.abs() @ torch.tensor(size, dtype=theta.dtype)).max()) < _PARALLEL


def _along(image: torch.Tensor, axis: int, at: torch.Tensor, mode: str, *, border: bool) -> torch.Tensor:
    """The image at these places along one axis (indices, whole or not)."""
    last = image.shape[axis] - 1
    if border:
        at = at.clamp(0, last)
    low = at.round() if mode == "nearest" else at.floor()
    found = _taken(image, axis, low, last)
    if mode == "nearest":
        return found
    weight = (at - low).to(image.dtype)
    if not bool(weight.any()):
        return found
    # At the last place there is no next one, and none is needed: zero times what lies outside.
    return found.lerp_(_taken(image, axis, low + 1, last), _reshaped(weight, axis, image.dim()))


def _taken(image: torch.Tensor, axis: int, index: torch.Tensor, last: int) -> torch.Tensor:
    """Whole places along an axis; nothing lies outside."""
    taken = image.index_select(axis, index.clamp(0, last).long())
    inside = (index >= 0) & (index <= last)
    return taken if bool(inside.all()) else taken.mul_(_reshaped(inside.to(image.dtype), axis, image.dim()))


def _reshaped(values: torch.Tensor, axis: int, axes: int) -> torch.Tensor:
    return values.reshape([-1 if each == axis else 1 for each in range(axes)])
