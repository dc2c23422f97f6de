"""With what window images are shown beside findings: by their modality, and by what was found in them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from radnode.pipelines.results.window_presets import BONE, BRAIN, LUNG, SOFT_TISSUE, Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from radnode.pipelines.geometry import Volume

# Below and above these medians (HU) of what was found, or of what lies around it, only lung or only bone is meant.
_AERATED, _BONY = -300.0, 250.0
_LUNG_HU, _BODY_HU = (-950.0, -600.0), -200.0
# Lungs are a fifth of a chest and more; gas of the bowel is a few hundredths of an abdomen.
_SHARE_OF_LUNG = 0.12
_AROUND = 3
_MOST_VOXELS = 2_000_000
_HEADS = frozenset({"HEAD", "BRAIN", "SKULL"})


def window_for(modality: str, volume: Volume, found: Sequence[NDArray[np.bool_]], body_part: str = "") -> Window:
    """The window that a reader would choose for these images, to look at these masks on their grid.

    CT: by the Hounsfield units in the masks and close around them, or, if there are none, in the body. Other
    modalities have no units of their own: from the 1st to the 99.5th percentile of what is not background.
    body_part: Body Part Examined.
    """
    if modality == "CT":
        kind = _by_what_was_found(volume.voxels, found) or _by_the_body(volume.voxels)
        return BRAIN if kind is SOFT_TISSUE and body_part.upper() in _HEADS else kind
    values = _some(volume.voxels[volume.valid])
    if not values.size:
        return Window(0.0, 1.0, "no window")
    present = values[values > values.min() + 0.02 * (np.percentile(values, 99.5) - values.min())]
    low, high = np.percentile(present if present.size else values, [1, 99.5])
    low = min(float(low), float(np.percentile(values, 5))) if modality != "PT" else 0.0
    return Window(low, max(float(high), low + 1e-6), "window by percentiles")


def _by_what_was_found(voxels: NDArray[np.float32], found: Sequence[NDArray[np.bool_]]) -> Window | None:
    """Lung where it, or what is around it, is aerated: a nodule is as dense as muscle."""
    kinds: list[Window] = []
    for mask in found:
        box = _box_around(mask)
        if box is None:
            continue
        inside = mask[box]
        around = ndimage.binary_dilation(inside, iterations=_AROUND) & ~inside
        within = float(np.median(voxels[box][inside]))
        outside = float(np.median(voxels[box][around])) if around.any() else within
        aerated = within < _AERATED or (outside < _AERATED and outside > -950)
        kinds.append(LUNG if aerated else BONE if within > _BONY else SOFT_TISSUE)
    return max(set(kinds), key=kinds.count) if kinds else None


def _by_the_body(voxels: NDArray[np.float32]) -> Window:
    values = _some(voxels.ravel())
    aerated = np.count_nonzero((values > _LUNG_HU[0]) & (values < _LUNG_HU[1]))
    return LUNG if aerated > _SHARE_OF_LUNG * (aerated + np.count_nonzero(values > _BODY_HU)) else SOFT_TISSUE


def _box_around(mask: NDArray[np.bool_]) -> tuple[slice, ...] | None:
    sides = []
    for axis in range(mask.ndim):
        present = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        if not present.size:
            return None
        sides.append(slice(max(int(present[0]) - _AROUND, 0), int(present[-1]) + _AROUND + 1))
    return tuple(sides)


def _some(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values[:: max(1, values.size // _MOST_VOXELS)]
