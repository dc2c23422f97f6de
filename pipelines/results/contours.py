"""Masks as closed outlines: marching squares at half height, between the pixels of a mask and those around it.

Coordinates are (column, row) in pixels with the corner of the first pixel at (0, 0), so its middle is (0.5, 0.5)
(PS3.3 C.18.6.1.2). A pixel is inside an outline exactly when it is in the mask, so nothing shrinks or shifts.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from contourpy import FillType, contour_generator

if TYPE_CHECKING:
    from numpy.typing import NDArray


def outlines(mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], ...]:
    """Every closed ring around or inside the mask, float64 (n, 2); the first point is not repeated.

    mask: bool (rows, columns). Filled by the even-odd rule, the rings together are the mask.
    """
    return tuple(ring for outer, holes in _regions(mask) for ring in (outer, *holes))


def keyholed(mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], ...]:
    """One ring for each connected region, its holes joined to its outside by a cut that runs there and back.

    Readers of RT Structure Sets fill an inner ring instead of sparing it; a keyhole is read rightly by all
    (PS3.3 C.8.8.6.3).
    """
    return tuple(_join(outer, holes) for outer, holes in _regions(mask))


def _regions(mask: NDArray[np.bool_]) -> list[tuple[NDArray[np.float64], list[NDArray[np.float64]]]]:
    """(outside, holes) of each connected region."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return []
    top, left = int(rows[0]), int(columns[0])
    cut = mask[top : int(rows[-1]) + 1, left : int(columns[-1]) + 1]
    heights = np.pad(cut, 1).astype(np.float64)
    generator = contour_generator(z=heights, name="serial", fill_type=FillType.OuterOffset)
    filled: Any = generator.filled(0.5, np.inf)
    points, offsets = filled
    # A pixel of the padded cut at index 1 is the pixel `left` of the mask, whose middle is left + 0.5.
    shift = np.array([left - 0.5, top - 0.5])
    regions = []
    for ring, starts in zip(points, offsets, strict=True):
        rings = [ring[start : stop - 1] + shift for start, stop in pairwise(starts)]
        regions.append((rings[0], rings[1:]))
    return regions


def _join(outer: NDArray[np.float64], holes: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The nearest hole first, each by the shortest cut, so that no cut crosses a hole that is still to come."""
    waiting = list(holes)
    joined = outer
    while waiting:
        cuts = [_shortest(joined, hole) for hole in waiting]
        nearest = min(range(len(waiting)), key=lambda index: cuts[index][0])
        _, on_ring, on_hole = cuts[nearest]
        hole = waiting.pop(nearest)
        there_and_back = np.vstack([hole[on_hole:], hole[: on_hole + 1]])
        joined = np.vstack([joined[: on_ring + 1], there_and_back, joined[on_ring:]])
    return joined


def _shortest(ring: NDArray[np.float64], hole: NDArray[np.float64]) -> tuple[float, int, int]:
    """(squared length, index on the ring, index on the hole) of the shortest cut between their points."""
    squared = ((ring[:, np.newaxis] - hole[np.newaxis]) ** 2).sum(axis=2)
    on_ring, on_hole = np.unravel_index(int(np.argmin(squared)), squared.shape)
    return float(squared[on_ring, on_hole]), int(on_ring), int(on_hole)
