"""What can be told of a frontal chest radiograph as a picture: upright, whole, its grey and the side of the heart.

Each answer is yes, no, or not told (None). Rotation about the long axis moves the spine, which lies far back, against
the lungs; the widths of the fields do not tell it (on phantoms turned by 20 degrees they differed by at most 6 % of
their sum). A spine in the middle proves nothing: the sternum and the aorta may stand in its place. Not told are cut
apices (below the shoulders a field ends without an edge), exposure and noise, which processing for display hides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines.cr_chest.fields import find_fields, small

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radnode.pipelines.cr_chest.fields import Fields

EDGE = 0.035
"""A field nearer to an edge than this share of the picture is taken for cut off."""
OFF_MIDDLE = 0.025
"""Of the width of the chest: further off the middle, the spine is said to be. About 7 degrees of the phantom."""
_ABOVE_HEART = (0.15, 0.45)
_WIDENS = 1.3
"""By how much the mediastinum is wider between the lower parts of the lungs than between the upper ones."""
_OFF_MIDDLE = 0.07
"""Of the width of the chest: how far the heart reaches more to one side than to the other, to tell its side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Answers about one picture. None: not told.

    fields: whether two lung fields were found; inverted: only after black and white were exchanged. lying: they lie
    above each other. upright: not upside down. cut: the edges that a field reaches. heart: on the "left" or the "right"
    of the picture. spine_off: how far the brightest line between the upper parts of the lungs lies to the right of
    their middle (negative: to the left), of the width of the chest; only where that is more than :data:`OFF_MIDDLE`.
    """

    fields: bool
    inverted: bool = False
    lying: bool = False
    upright: bool | None = None
    cut: tuple[str, ...] = ()
    heart: str | None = None
    spine_off: float | None = None

    @property
    def readable(self) -> bool:
        """Whether a model may be shown it: nothing was seen that makes it unlike those that it learned from."""
        return not (self.inverted or self.lying or self.upright is False)


def check(display: NDArray[np.uint8]) -> Quality:
    """The answers about a picture as it is shown, (rows, columns), 0 black."""
    grey = small(display)
    fields = find_fields(grey)
    if fields is None:
        turned_over = find_fields(1 - grey)
        is_chest = turned_over is not None and turned_over.side_by_side and _upright(turned_over) is not None
        return Quality(fields=False, inverted=is_chest)
    if not fields.side_by_side:
        turned = find_fields(np.ascontiguousarray(np.rot90(grey)))
        lying = turned is not None and turned.side_by_side and _upright(turned) is not None
        return Quality(fields=lying, lying=lying)
    upright = _upright(fields)
    return Quality(fields=True, upright=upright, cut=fields.near(EDGE), heart=_heart(fields) if upright else None,
                   spine_off=_spine_off(fields) if upright else None)


def _upright(fields: Fields) -> bool | None:
    widening = _widening(fields)
    return None if widening is None or 1 / _WIDENS < widening < _WIDENS else widening > 1


def _widening(fields: Fields) -> float | None:
    """Width between the fields in their lower part, of that in their upper part."""
    upper, lower = (_rows(fields, *part) for part in ((0.15, 0.45), (0.7, 0.9)))
    if not len(upper) or not len(lower):
        return None
    widths = [float(np.median(each[:, 2] - each[:, 1])) for each in (lower, upper)]
    return widths[0] / widths[1] if min(widths) > 0 else None


def _heart(fields: Fields) -> str | None:
    """The side of the picture to which what lies between the lower parts of the fields reaches further."""
    upper, lower = (_rows(fields, *part) for part in ((0.15, 0.45), (0.5, 0.8)))
    if not len(upper) or not len(lower):
        return None
    middle = float(np.median(upper[:, 1] + upper[:, 2])) / 2
    width = float(np.median(upper[:, 3] - upper[:, 0]))
    further = float(np.median(lower[:, 2] + lower[:, 1] - 2 * middle)) / width
    return None if abs(further) < _OFF_MIDDLE else "right" if further > 0 else "left"


def _spine_off(fields: Fields) -> float | None:
    top, bottom = fields.rows()
    columns = _rows(fields, *_ABOVE_HEART)
    if not len(columns):
        return None
    outer_left, left, right, outer_right = np.median(columns, axis=0)
    first, last = (top + int(share * (bottom - top)) for share in _ABOVE_HEART)
    between = fields.grey[first:last, int(left):int(right)].mean(axis=0)
    if not between.size:
        return None
    off = int(left) + int(between.argmax()) + 0.5 - float(left + right) / 2
    share = off / float(outer_right - outer_left)
    return share if abs(share) >= OFF_MIDDLE else None


def _rows(fields: Fields, first: float, last: float) -> NDArray[np.float64]:
    """(outer, inner, inner, outer) columns of both fields, of the rows between two shares of their height."""
    top, bottom = fields.rows()
    found = []
    for row in range(top + int(first * (bottom - top)), top + int(last * (bottom - top))):
        left, right = np.flatnonzero(fields.first[row]), np.flatnonzero(fields.second[row])
        if left.size and right.size:
            found.append((left[0], left[-1] + 1, right[0], right[-1] + 1))
    return np.array(found, np.float64).reshape(-1, 4)
