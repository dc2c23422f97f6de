"""What the positions of slices tell about a series: whether it is a regular stack, and where a slice is missing. Pure.

Positions are millimetres along the stack normal, which is row direction x column direction (PS3.3 C.7.6.2.1.1).
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass, replace
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
SHORTEST_REGION = 3
"""Equal wide steps in a row that may be a protocol's second spacing, such as 5 mm at the skull base and 10 mm above."""
MOST_GAPS = 1000
"""Missing positions that are named; a step of metres between two slices would hold millions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """The largest group of parallel slices of one size.

    slices: distinct positions in it. regular: equal steps; None when fewer than three slices tell nothing.
    Multi-frame images take no part: their slices are inside them.
    gaps: positions at which a slice is missing. duplicates: instances beyond the first at a position.
    numbers_contiguous: the instance numbers of the whole series, localisers included, run from 0 or 1 without a hole;
    None when an instance has none. without_pixels: images without Pixel Data, which are no slices.
    """

    slices: int
    regular: bool | None
    gaps: tuple[float, ...]
    duplicates: int
    numbers_contiguous: bool | None
    without_pixels: int = 0


NOTHING = Geometry(slices=0, regular=None, gaps=(), duplicates=0, numbers_contiguous=None)


def geometry_of(headers: Sequence[Mapping[str, Any]]) -> Geometry:
    """The geometry of the instances with these attributes, in any order; localisers beside the stack do not disturb."""
    images = [header for header in headers if header.get("PixelDataPresent") is not False]
    groups: dict[tuple[object, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for header in images:
        if (key := _plane(header)) is not None:
            groups[key].append(header)
    without_pixels = len(headers) - len(images)
    if not groups:
        return replace(NOTHING, without_pixels=without_pixels)
    stack = max(groups.values(), key=len)
    normal = _normal(stack[0])
    places = np.array([float(normal @ np.array(header["ImagePositionPatient"])) for header in stack])
    order = np.argsort(places, kind="stable")
    positions = places[order]
    first = np.insert(np.diff(positions) > SAME_POSITION_MM, 0, values=True)
    distinct = positions[first]
    numbers = [stack[place].get("InstanceNumber") for place in order[first]]
    return Geometry(
        slices=len(distinct),
        regular=_is_regular(distinct),
        gaps=missing_positions(distinct, numbers if first.all() else ()),
        duplicates=len(positions) - len(distinct),
        numbers_contiguous=_contiguous(headers),
        without_pixels=without_pixels,
    )


def missing_positions(positions: NDArray[np.float64], numbers: Sequence[object] = ()) -> tuple[float, ...]:
    """Positions (mm) at which an inner slice is missing, at most the first `MOST_GAPS`.

    positions: sorted, distinct. numbers: their instance numbers, if each has one. A step of about a whole multiple
    of the usual one is a gap, but for a region of such steps through which the instance numbers go on by one: there a
    protocol widens its spacing. A slice that is missing at an end leaves no trace here.
    """
    if len(positions) < 3:
        return ()
    steps = np.diff(positions)
    usual = float(np.median(steps))
    multiples = np.rint(steps / usual)
    multiples[np.abs(steps / usual - multiples) > GAP_PART] = 0
    missing: list[float] = []
    place = 0
    for multiple, region in itertools.groupby(multiples.tolist()):
        count = sum(1 for _ in region)
        if multiple >= 2 and not (count >= SHORTEST_REGION and _go_on(numbers[place : place + count + 1])):
            for start in positions[place : place + count].tolist():
                wanted = range(1, min(int(multiple), MOST_GAPS - len(missing) + 1))
                missing += [round(start + number * usual, 2) for number in wanted]
        place += count
    return tuple(missing)


def _go_on(numbers: Sequence[object]) -> bool:
    """Whether these follow each other by one, up or down, so that no image between them can have been lost."""
    whole = [number for number in numbers if isinstance(number, int)]
    steps = {after - before for before, after in itertools.pairwise(whole)}
    return len(whole) == len(numbers) and steps in ({1}, {-1})


def _is_regular(positions: NDArray[np.float64]) -> bool | None:
    if len(positions) < 3:
        return None
    steps = np.diff(positions)
    usual = float(np.median(steps))
    return bool(np.abs(steps - usual).max() <= IRREGULAR_PART * usual)


def _contiguous(headers: Sequence[Mapping[str, Any]]) -> bool | None:
    numbers = [header.get("InstanceNumber") for header in headers]
    whole = {number for number in numbers if isinstance(number, int)}
    if not all(isinstance(number, int) for number in numbers):
        return None
    return min(whole) in (0, 1) and max(whole) - min(whole) + 1 == len(whole)


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
