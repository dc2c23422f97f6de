"""Outlines filled again, by the even-odd rule: what the gate compares with a mask.

Written apart from what draws outlines, so that a fault of one is not repeated by the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


def filled(rings: Iterable[NDArray[np.float64]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels whose middles lie inside an odd number of rings.

    rings: closed, float64 (n, 2), (column, row) with the corner of the first pixel at (0, 0); repeating the first point
    changes nothing. shape: (rows, columns). What lies outside the image is cut off.
    """
    crossings = np.zeros((shape[0], shape[1] + 1), dtype=np.int64)
    for ring in rings:
        ends = np.roll(ring, -1, axis=0)
        (x0, y0), (x1, y1) = ring.T, ends.T
        # The middles of rows r with min(y) <= r + 0.5 < max(y) are crossed by an edge.
        first = np.ceil(np.minimum(y0, y1) - 0.5).astype(np.int64)
        stop = np.ceil(np.maximum(y0, y1) - 0.5).astype(np.int64)
        counts = stop - first
        edge = np.repeat(np.arange(len(ring)), counts)
        row = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
        x = x0[edge] + (row + 0.5 - y0[edge]) * (x1[edge] - x0[edge]) / (y1[edge] - y0[edge])
        # The first pixel whose middle lies to the right of the crossing.
        column = np.clip(np.ceil(x - 0.5), 0, shape[1]).astype(np.int64)
        inside = (row >= 0) & (row < shape[0])
        np.add.at(crossings, (row[inside], column[inside]), 1)
    return np.asarray(np.cumsum(crossings[:, :-1], axis=1) % 2 == 1)
