"""Places that are brighter than all around them, at several sizes: the weakest curvature of the smoothed image.

A ball curves down in all three directions, a vessel in two, a wall in one (Sato, Medical Image Analysis 2:143, 1998;
Li, Medical Physics 30:2040, 2003). Scales are normalised (Lindeberg, IJCV 30:79, 1998).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from radnode.pipelines.ct_nodule.field import SPACING_MM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from radnode.pipelines.ct_nodule.field import Field

# A ball of radius r answers most at the scale r / sqrt(3). The finer ones on the field's grid, the others on one half
# as fine.
_FINE_MM, _COARSE_MM = (1.2, 1.7), (2.4, 3.4, 4.8, 6.2)
# Above soft tissue brightness says nothing more about shape; below it, it would drown ground glass.
_BRIGHTEST_HU = -450.0
_WEAKEST, _ROUND = 25.0, 0.3
_MOST = 200
"""Of a lung, of each kind: faint ones answer less than vessels do, and would never be among the strongest of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """index: on the field's grid. radius_mm: of a ball that answers most at this scale. strength: HU, the answer.
    roundness: weakest by strongest curvature, 1 for a ball.
    """

    index: tuple[float, float, float]
    radius_mm: float
    strength: float
    roundness: float


def blobs(field: Field, device: str) -> list[Blob]:
    """By falling strength and roundness, no more than what is looked at of each kind; of those that lie in each other
    the first.
    """
    inside = torch.from_numpy(field.inside).to(device)
    hu = torch.from_numpy(field.hu).to(device).clamp(field.background_hu - 100, _BRIGHTEST_HU)
    hu = torch.where(inside, hu, field.background_hu)[None, None]
    found: list[Blob] = []
    for half, scales in ((1, _FINE_MM), (2, _COARSE_MM)):
        if half > 1:
            hu = functional.avg_pool3d(hu, half, ceil_mode=True, count_include_pad=False)
            inside = functional.max_pool3d(inside[None, None].float(), half, ceil_mode=True)[0, 0] > 0
        for scale in scales:
            found += _at_scale(hu, inside, scale, half)
    found.sort(key=lambda each: -each.strength * each.roundness)
    return _kept(found, field)


def _kept(found: list[Blob], field: Field) -> list[Blob]:
    kept: list[Blob] = []
    counts = {True: 0, False: 0}
    places = np.array([each.index for each in found]).reshape(-1, 3)
    radii = np.array([each.radius_mm for each in found])
    free = np.ones(len(found), np.bool_)
    for number, each in enumerate(found):
        faint = _faint(field, each)
        if not free[number] or counts[faint] == _MOST:
            continue
        kept.append(each)
        counts[faint] += 1
        apart = np.linalg.norm(places - each.index, axis=1) * SPACING_MM
        free &= apart > np.maximum(radii, each.radius_mm)
    return kept


def _faint(field: Field, blob: Blob) -> bool:
    """Whether it is less dense than soft tissue."""
    cube = tuple(slice(max(round(at) - 1, 0), round(at) + 2) for at in blob.index)
    return float(field.hu[cube].mean()) < _BRIGHTEST_HU


def _at_scale(hu: torch.Tensor, inside: torch.Tensor, scale_mm: float, half: int) -> Iterator[Blob]:
    """Local maxima of the weakest curvature on a grid that is `half` times coarser than the field's."""
    sigma = scale_mm / (SPACING_MM * half)
    smooth = _smoothed(hu, sigma)[0, 0]
    # Where the sum of curvatures is small, none of them can be large.
    curved = torch.zeros_like(smooth)
    core = (slice(1, -1),) * 3
    curved[core] = 6 * smooth[core] - sum(
        smooth.narrow(axis, at, smooth.shape[axis] - 2)[
            tuple(slice(None) if other == axis else slice(1, -1) for other in range(3))]
        for axis in range(3) for at in (0, 2)
    )
    looked_at = torch.nonzero((curved * sigma**2 > 3 * _WEAKEST) & inside)
    if not len(looked_at):
        return
    weakest, strongest = _curvatures(smooth, looked_at)
    answer = torch.zeros_like(smooth)
    answer[tuple(looked_at.T)] = (weakest * sigma**2).clamp(min=0)
    peak = functional.max_pool3d(answer[None, None], 3, stride=1, padding=1)[0, 0] == answer
    at_peak = peak[tuple(looked_at.T)] & (answer[tuple(looked_at.T)] > _WEAKEST) & (weakest > _ROUND * strongest)
    places = looked_at[at_peak].cpu().numpy() * half + (half - 1) / 2
    strengths = (weakest[at_peak] * sigma**2).cpu().numpy()
    round_ones = (weakest[at_peak] / strongest[at_peak]).cpu().numpy()
    for place, strength, roundness in zip(places, strengths, round_ones, strict=True):
        up, back, left = (float(each) for each in place)
        yield Blob(index=(up, back, left), radius_mm=float(np.sqrt(3) * scale_mm), strength=float(strength),
                   roundness=float(roundness))


def _curvatures(smooth: torch.Tensor, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weakest and strongest curvature (bent down is positive) at (n, 3) places that are not at a border."""
    limit = torch.tensor(smooth.shape, device=smooth.device) - 2
    places = torch.minimum(places.clamp(min=1), limit)
    strides = torch.tensor(smooth.stride(), device=smooth.device)
    flat, at = smooth.flatten(), (places * strides).sum(1)

    def value(*step: int) -> torch.Tensor:
        return flat[at + int(sum(one * int(other) for one, other in zip(step, smooth.stride(), strict=True)))]

    middle, hessian = value(0, 0, 0), torch.empty((len(places), 3, 3), device=smooth.device)
    unit = np.eye(3, dtype=int)
    for i in range(3):
        hessian[:, i, i] = value(*unit[i]) + value(*-unit[i]) - 2 * middle
        for j in range(i):
            mixed = (value(*(unit[i] + unit[j])) + value(*(-unit[i] - unit[j])) - value(*(unit[i] - unit[j]))
                     - value(*(unit[j] - unit[i]))) / 4
            hessian[:, i, j] = hessian[:, j, i] = mixed
    values = torch.linalg.eigvalsh(-hessian)
    return values[:, 0], values[:, 2].clamp(min=1e-6)


def _smoothed(hu: torch.Tensor, sigma: float) -> torch.Tensor:
    """A Gaussian, one axis after the other. hu: (1, 1, up, back, left); at borders the nearest value goes on."""
    reach = int(np.ceil(3 * sigma))
    weights: NDArray[np.float64] = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    for axis in (2, 3, 4):
        padding = [0] * 6
        padding[2 * (4 - axis)] = padding[2 * (4 - axis) + 1] = reach
        padded, length = functional.pad(hu, padding, mode="replicate"), hu.shape[axis]
        hu = torch.zeros_like(hu)
        for place, weight in enumerate(weights):
            hu.add_(padded.narrow(axis, place, length), alpha=float(weight))
    return hu
