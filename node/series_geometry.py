"""What the positions of slices tell about a series: whether it is a regular stack, and where a slice is missing. Pure.

Positions are millimetres along the stack normal, which is row direction x column direction (PS3.3 C.7.6.2.1.1).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

SAME_POSITION_MM = 0.01
FARTHEST_MM = 1e6
"""What lies farther away is no position in a patient, and its products may pass the range of numbers."""
IRREGULAR_PART = 0.05
"""A step that differs from the usual one by more than this part of it is irregular: tables and rounding stay below."""
GAP_PART = 0.15
"""A step within this part of a whole multiple of the usual one is a gap; other steps are an irregular protocol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """The largest group of parallel slices of one size.

    slices: distinct positions in it. regular: equal steps; None when fewer than three slices tell nothing.
    Multi-frame images take no part: their slices are inside them.
    gaps: positions at which a slice is missing. duplicates: instances beyond the first at a position.
    numbers_contiguous: instance numbers without a hole; None when there are none.
    """

    slices: int
    regular: bool | None
    gaps: tuple[float, ...]
    duplicates: int
    numbers_contiguous: bool | None


NOTHING = Geometry(slices=0, regular=None, gaps=(), duplicates=0, numbers_contiguous=None)


def geometry_of(headers: Sequence[Mapping[str, Any]]) -> Geometry:
    """The geometry of the instances with these attributes, in any order; localisers beside the stack do not disturb."""
    groups: dict[tuple[object, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for header in headers:
        if (key := _plane(header)) is not None:
            groups[key].append(header)
    if not groups:
        return NOTHING
    stack = max(groups.values(), key=len)
    normal = _normal(stack[0])
    positions = np.sort([float(normal @ np.array(header["ImagePositionPatient"])) for header in stack])
    distinct = positions[np.insert(np.diff(positions) > SAME_POSITION_MM, 0, values=True)]
    return Geometry(
        slices=len(distinct),
        regular=_is_regular(distinct),
        gaps=missing_positions(distinct),
        duplicates=len(positions) - len(distinct),
        numbers_contiguous=_contiguous(stack),
    )


def missing_positions(positions: NDArray[np.float64]) -> tuple[float, ...]:
    """Positions (mm) at which an inner slice is missing.

    positions: sorted, distinct. A step of about a whole multiple of the most frequent step is a gap. A slice that
    is missing at an end leaves no trace here.
    """
    if len(positions) < 3:
        return ()
    steps = np.diff(positions)
    usual = float(np.median(steps))
    missing: list[float] = []
    for start, step in zip(positions, steps, strict=False):
        multiple = round(step / usual)
        if multiple >= 2 and abs(step / usual - multiple) <= GAP_PART:
            missing += [round(float(start + number * usual), 2) for number in range(1, multiple)]
    return tuple(missing)


def _is_regular(positions: NDArray[np.float64]) -> bool | None:
    if len(positions) < 3:
        return None
    steps = np.diff(positions)
    usual = float(np.median(steps))
    return bool(np.abs(steps - usual).max() <= IRREGULAR_PART * usual)


def _contiguous(stack: Sequence[Mapping[str, Any]]) -> bool | None:
    numbers = [header.get("InstanceNumber") for header in stack]
    whole = {number for number in numbers if isinstance(number, int)}
    if not all(isinstance(number, int) for number in numbers):
        return None
    return max(whole) - min(whole) + 1 == len(whole)


def _plane(header: Mapping[str, Any]) -> tuple[object, ...] | None:
    """What the slices of one stack share, rounded; None for an image without a place in the patient.

    Values come as the sender wrote them: any attribute may be text or a list.
    """
    orientation, position = header.get("ImageOrientationPatient"), header.get("ImagePositionPatient")
    if not _numbers(orientation, 6) or not _numbers(position, 3):
        return None
    if not np.linalg.norm(_normal(header)) > 0.5 or _frames(header) > 1:
        return None
    size = (str(header.get("Rows")), str(header.get("Columns")))
    return (*(round(value, 2) + 0.0 for value in orientation or ()), *size)


def _frames(header: Mapping[str, Any]) -> int:
    number = header.get("NumberOfFrames")
    return number if isinstance(number, int) else 1


def _normal(header: Mapping[str, Any]) -> NDArray[np.float64]:
    orientation = np.array(header["ImageOrientationPatient"], dtype=np.float64)
    return np.cross(orientation[:3], orientation[3:])


def _numbers(value: object, count: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) == count
        and all(isinstance(each, (int, float)) and abs(each) <= FARTHEST_MM for each in value)
    )
