"""Where the pixels of an image lie in the patient, and how its sides are called. Pure.

Patient coordinates are LPS millimetres (PS3.3 C.7.6.2.1.1). Pixel coordinates are (column, row) with the corner of the
first pixel at 0, 0 (PS3.3 C.18.6.1.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_TOWARDS = (("L", "R"), ("P", "A"), ("H", "F"))
_OPPOSITE = {"L": "R", "R": "L", "P": "A", "A": "P", "H": "F", "F": "H"}
# A direction has a letter of its own from about 17 degrees off the others.
_LEAST_SHARE = 0.3
_NORMAL_TO_EACH_OTHER = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """One frame in the patient.

    position: of the middle of its first pixel, mm. row, column: unit vectors along a row and down a column.
    spacing: millimetres between rows, between columns. rows, columns: how many.
    """

    position: tuple[float, float, float]
    row: tuple[float, float, float]
    column: tuple[float, float, float]
    spacing: tuple[float, float]
    rows: int
    columns: int

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector across it."""
        return np.asarray(np.cross(self.row, self.column), dtype=np.float64)

    def corners(self) -> NDArray[np.float64]:
        """Middles of the first pixel, the last of the first row, the first of the last row: (3, 3) mm."""
        along = np.array(self.row) * self.spacing[1] * (self.columns - 1)
        down = np.array(self.column) * self.spacing[0] * (self.rows - 1)
        return np.array(self.position, dtype=np.float64) + np.stack([np.zeros(3), along, down])

    def pixels(self, points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(n, 3) mm -> (n, 2) pixel coordinates of their shadows on the plane, and (n,) how far off it they lie, mm."""
        away = points - np.array(self.position)
        columns = away @ np.array(self.row) / self.spacing[1] + 0.5
        rows = away @ np.array(self.column) / self.spacing[0] + 0.5
        return np.column_stack([columns, rows]), away @ self.normal


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Letters at the sides of a picture (PS3.3 C.7.6.1.1.1): R, L, A, P, H, F; several where it lies obliquely."""

    left: str
    right: str
    top: str
    bottom: str


def plane_of(values: Mapping[str, Any]) -> Plane | None:
    """By Image Position and Orientation (Patient), Pixel Spacing, Rows, Columns; None where any is missing or wrong."""
    position = _numbers(values.get("ImagePositionPatient"), 3)
    orientation = _numbers(values.get("ImageOrientationPatient"), 6)
    spacing = _numbers(values.get("PixelSpacing"), 2)
    rows, columns = values.get("Rows"), values.get("Columns")
    if position is None or orientation is None or spacing is None or not rows or not columns or min(spacing) <= 0:
        return None
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if abs(lengths[0] - 1) > _NORMAL_TO_EACH_OTHER or abs(lengths[1] - 1) > _NORMAL_TO_EACH_OTHER:
        return None
    if abs(float(row @ column)) > _NORMAL_TO_EACH_OTHER:
        return None
    return Plane(
        position=(position[0], position[1], position[2]), row=_triple(row / lengths[0]),
        column=_triple(column / lengths[1]), spacing=(spacing[0], spacing[1]), rows=int(rows), columns=int(columns),
    )


def sides_of_plane(plane: Plane) -> Sides:
    """The letters of a slice."""
    right, bottom = _letters(plane.row), _letters(plane.column)
    return Sides(left=_opposite(right), right=right, top=_opposite(bottom), bottom=bottom)


def sides_of_projection(orientation: Any) -> Sides | None:
    """By Patient Orientation (0020,0020), as ["P", "F"]; None where it does not say both directions."""
    if not isinstance(orientation, list) or len(orientation) != 2:
        return None
    right, bottom = (str(each).strip().upper() for each in orientation)
    if not right or not bottom or set(right + bottom) - _OPPOSITE.keys():
        return None
    return Sides(left=_opposite(right), right=right, top=_opposite(bottom), bottom=bottom)


def place_said(plane: Plane) -> tuple[str, float]:
    """Towards which side of the patient's origin the middle of a slice lies, and how far, mm: ("H", 12.5)."""
    axis = int(np.argmax(np.abs(plane.normal)))
    _, right, bottom = plane.corners()
    value = float((right + bottom)[axis]) / 2
    return _TOWARDS[axis][value < 0], abs(value)


def in_order(planes: Sequence[Plane | None]) -> list[int] | None:
    """The order of a stack from the head to the feet, from right to left, or from front to back.

    None where the planes are no stack: without a place, of several directions, or two at one place.
    """
    known = [each for each in planes if each is not None]
    if len(known) != len(planes) or len(known) < 2:
        return None
    normal = known[0].normal
    if any(float(each.normal @ normal) < 0.999 for each in known):
        return None
    axis = int(np.argmax(np.abs(normal)))
    sign = np.sign(normal[axis]) * (-1 if axis == 2 else 1)
    along = np.array([float(np.array(each.position) @ normal) * sign for each in known])
    order = np.argsort(along, kind="stable")
    return None if np.diff(along[order]).min() < 0.01 else [int(each) for each in order]


def is_same(one: Plane, other: Plane) -> bool:
    """Whether each pixel of one lies, to less than half of it, where that of the other lies."""
    if (one.rows, one.columns) != (other.rows, other.columns):
        return False
    off = np.linalg.norm(one.corners() - other.corners(), axis=1)
    return bool(off.max() < 0.5 * min(*one.spacing, *other.spacing))


def _letters(direction: Sequence[float]) -> str:
    shares = sorted(range(3), key=lambda axis: -abs(direction[axis]))
    return "".join(_TOWARDS[axis][direction[axis] < 0] for axis in shares if abs(direction[axis]) >= _LEAST_SHARE)


def _opposite(letters: str) -> str:
    return "".join(_OPPOSITE[each] for each in letters)


def _numbers(value: Any, count: int) -> list[float] | None:
    if not isinstance(value, list) or len(value) != count:
        return None
    if not all(isinstance(each, int | float) and np.isfinite(each) for each in value):
        return None
    return [float(each) for each in value]


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
