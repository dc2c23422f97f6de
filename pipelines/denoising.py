"""Less noise without moved borders: a shared step for images of slices.

The guided filter of an image by itself (He, IEEE TPAMI 35:1397, 2013): within a small box the image is taken for its
mean as far as it varies no more than noise does, and left as it is where it varies more. Numbers keep their unit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

REACH_MM = 1.8
"""Half the box, along each axis of the images; slices further apart than this are not mixed."""
_STRENGTH, _BACKGROUND = 4.0, 0.15
_SLAB = 24
_QUIET, _MOST_BOXES = 25, 400_000
_BOX = 7


def tissue_of(values: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where an image is no background, whose noise is another. valid: where the scanner measured."""
    some = slice(None, None, max(1, len(values) // 20))
    measured = values[some][valid[some]]
    if not measured.size:
        return np.zeros_like(valid)
    low, high = (float(each) for each in (measured.min(), np.percentile(measured, 99)))
    return np.asarray(valid & (values > low + _BACKGROUND * (high - low)))


def noise_of(values: NDArray[np.float32], where: NDArray[np.bool_]) -> float:
    """Standard deviation of the noise, in the unit of the images: that of the quieter boxes of one slice.

    values, where (what may be looked at: tissue): (slices, rows, columns). 0 where there is too little to tell.
    """
    inner = slice(_BOX // 2, -(_BOX // 2), _BOX)
    found: list[NDArray[np.float32]] = []
    for plane, use in zip(values[:: max(1, len(values) // 40)], where[:: max(1, len(where) // 40)], strict=True):
        whole = ndimage.uniform_filter(use.astype(np.float32), _BOX)[inner, inner] > 0.999
        mean = ndimage.uniform_filter(plane, _BOX)[inner, inner]
        square = ndimage.uniform_filter(plane * plane, _BOX)[inner, inner]
        found.append(np.maximum(square - mean * mean, 0)[whole])
    boxes = np.concatenate(found)[:_MOST_BOXES] if found else np.zeros(0)
    return float(np.sqrt(np.percentile(boxes, _QUIET))) if boxes.size >= 20 else 0.0


def denoised(values: NDArray[np.float32], spacing_mm: Sequence[float], noise: float) -> NDArray[np.float32]:
    """The image with less noise, float32 (slices, rows, columns). noise: of :func:`noise_of`; 0 changes nothing."""
    if noise <= 0:
        return values.copy()
    reach = [int(REACH_MM // each) for each in spacing_mm]
    size = [2 * each + 1 for each in reach]
    margin = 2 * reach[0]
    result = np.empty_like(values)
    for first in range(0, len(values), _SLAB):
        last = min(first + _SLAB, len(values))
        low = max(first - margin, 0)
        slab = values[low:min(last + margin, len(values))]
        mean = ndimage.uniform_filter(slab, size)
        # About the mean, because squares of whole numbers near 1000 lose digits in single precision.
        middle = float(mean.mean())
        square = ndimage.uniform_filter((slab - middle) ** 2, size)
        variance = np.maximum(square - (mean - middle) ** 2, 0)
        kept = variance / (variance + np.float32(_STRENGTH * noise * noise))
        smooth = ndimage.uniform_filter(kept, size) * slab + ndimage.uniform_filter(mean * (1 - kept), size)
        result[first:last] = smooth[first - low:last - low]
    return result
