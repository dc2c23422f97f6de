"""The two lung fields on a frontal chest radiograph: dark, large, side by side. No trained weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

SIDE = 160
"""Pixels of the longer side of the picture in which fields are looked for."""
_BLUR, _OPENING = 1.0, 1
_AIR = 0.03
"""Up to this share of white is air beside the patient, or nothing."""
_LEVELS = range(12, 78, 3)
"""Percentiles of the rest that are tried as thresholds."""
_SMALLEST, _LARGEST, _BESIDE = 0.025, 0.4, 0.12
"""Of the picture: the area of a field; how near to an edge the middle of air lies."""
_UNLIKE, _SHRUNK, _FULL = 4, 0.6, 0.4
"""How much larger one field may be; of the largest pair that any threshold gives; of the box around a field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """Two lung fields in a small copy of the picture, bool (rows, columns) of the same shape.

    first, second: by where they lie in the picture: the left and the right one, or the upper and the lower one where
    they lie above each other.
    """

    first: Mask
    second: Mask
    grey: NDArray[np.float32]

    @property
    def side_by_side(self) -> bool:
        """Whether they lie beside each other, as in an upright picture, and not above each other."""
        (row, column), (other_row, other_column) = map(ndimage.center_of_mass, (self.first, self.second))
        return bool(abs(other_column - column) > abs(other_row - row))

    def rows(self) -> tuple[int, int]:
        """The first row of either field, and the row after the last."""
        found = np.flatnonzero((self.first | self.second).any(axis=1))
        return int(found[0]), int(found[-1]) + 1

    def near(self, share: float) -> tuple[str, ...]:
        """The edges of the picture (top, bottom, left, right) that a field comes nearer to than a share of its size."""
        both = self.first | self.second
        down, across = (max(1, round(share * size)) for size in both.shape)
        edges = {"top": both[:down], "bottom": both[-down:], "left": both[:, :across], "right": both[:, -across:]}
        return tuple(name for name, edge in edges.items() if edge.any())


def small(display: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The picture with `SIDE` pixels along its longer side, smoothed; 0 to 1."""
    step = max(max(display.shape) / SIDE, 1.0)
    smooth = ndimage.gaussian_filter(display.astype(np.float32) / 255, _BLUR * step)
    shape = [max(round(size / step), 1) for size in display.shape]
    at = [((np.arange(size) + 0.5) * display.shape[axis] / size).astype(int) for axis, size in enumerate(shape)]
    return np.asarray(smooth[at[0][:, np.newaxis], at[1]], np.float32)


def find_fields(grey: NDArray[np.float32]) -> Fields | None:
    """The two fields of a picture of :func:`small`; None if there are not two large dark regions of like size.

    The threshold is the brightest at which they reach the fewest edges of the picture: a brighter one lets them run out
    into the air beside the patient, whose wall is thin.
    """
    body = grey[grey > _AIR]
    if body.size < 0.2 * grey.size:
        return None
    pairs = [pair for level in np.percentile(body, _LEVELS) if (pair := _pair(grey, float(level))) is not None]
    if not pairs:
        return None
    largest = max(_size(pair) for pair in pairs)
    likely = [pair for pair in pairs if _size(pair) >= _SHRUNK * largest]
    return min(reversed(likely), key=lambda pair: len(pair.near(0)))


def _pair(grey: NDArray[np.float32], level: float) -> Fields | None:
    dark = ndimage.binary_opening(np.pad(grey < level, _OPENING, mode="edge"), iterations=_OPENING)
    labelled, count = ndimage.label(dark[_OPENING:-_OPENING, _OPENING:-_OPENING])
    sizes = np.bincount(labelled.ravel(), minlength=count + 1)[1:] / labelled.size
    masks = [labelled == number + 1 for number in np.flatnonzero((sizes >= _SMALLEST) & (sizes <= _LARGEST))]
    found = sorted((mask for mask in masks if not _is_beside(mask)), key=lambda mask: -int(mask.sum()))[:2]
    if len(found) < 2 or found[1].sum() * _UNLIKE < found[0].sum():
        return None
    one, other = (ndimage.binary_fill_holes(mask) for mask in found)
    if any(mask.sum() < _FULL * _box(mask) for mask in (one, other)):
        return None
    fields = Fields(first=one, second=other, grey=grey)
    axis = 1 if fields.side_by_side else 0
    swapped = ndimage.center_of_mass(one)[axis] > ndimage.center_of_mass(other)[axis]
    return Fields(first=other, second=one, grey=grey) if swapped else fields


def _box(mask: Mask) -> int:
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return int((rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1))


def _size(fields: Fields) -> int:
    return int(fields.first.sum()) + int(fields.second.sum())


def _is_beside(mask: Mask) -> bool:
    """Whether that is air beside the patient: at an edge, its middle near to it; or all around."""
    row, column = ndimage.center_of_mass(mask)
    places = (row / mask.shape[0], 1 - row / mask.shape[0], column / mask.shape[1], 1 - column / mask.shape[1])
    edges = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
    near = any(edge.any() and place < _BESIDE for edge, place in zip(edges, places, strict=True))
    return near or sum(bool(edge.any()) for edge in edges) > 2
