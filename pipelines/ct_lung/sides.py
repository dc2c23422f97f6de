"""Left and right: two lungs that touch are parted, and each is named by patient coordinates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radnode.pipelines.ct_lung.grids import Coarse

# Lungs meet in a thin layer before or behind the heart (anterior and posterior junction lines).
_NECKS_MM = (1.5, 2.5, 3.5, 5.0, 6.5, 8.0, 10.0, 12.0, 15.0)
_SMALLER_LUNG = 0.12
_APART_MM = 60.0


def centre_x(mask: NDArray[np.bool_], coarse: Coarse) -> float:
    """Patient x (towards the left) of the centre of a mask, in millimetres."""
    return float(coarse.x_mm(np.array([ndimage.center_of_mass(mask)]))[0])


def part(lungs: NDArray[np.bool_], coarse: Coarse) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Cut a mask at its thinnest place into two that lie beside each other, each a good part of it; None if
    there is no such place.
    """
    box = ndimage.find_objects(lungs.astype(np.uint8))[0]
    inner = np.pad(lungs[box], 1)
    depth = ndimage.distance_transform_edt(inner, coarse.spacing_mm)
    for neck in _NECKS_MM:
        labels, count = ndimage.label(depth > neck)
        if count < 2:
            continue
        sizes = np.bincount(labels.ravel())[1:]
        second, first = (int(each) + 1 for each in np.argsort(sizes)[-2:])
        if sizes[second - 1] < _SMALLER_LUNG * sizes.sum():
            continue
        seeds = np.zeros(labels.shape, np.uint8)
        seeds[labels == first], seeds[labels == second] = 1, 2
        flooded = _flood(seeds, depth, neck)
        halves = []
        for label in (1, 2):
            half = np.zeros(lungs.shape, np.bool_)
            half[box] = (flooded == label)[1:-1, 1:-1, 1:-1]
            halves.append(half)
        if abs(centre_x(halves[0], coarse) - centre_x(halves[1], coarse)) >= _APART_MM:
            return halves[0], halves[1]
    return None


def _flood(seeds: NDArray[np.uint8], depth: NDArray[np.float64], neck: float) -> NDArray[np.uint8]:
    """Grow labelled seeds over all of `depth` > 0, deep parts first: they meet where the mask is thinnest."""
    flooded = seeds
    for level in [*np.arange(neck, 0.0, -1.0).tolist(), 0.0]:
        open_to = depth > level
        while True:
            grown = np.where((flooded == 0) & open_to, ndimage.maximum_filter(flooded, size=3), flooded)
            if np.array_equal(grown, flooded):
                break
            flooded = grown
    return flooded
