"""The stacks that a series holds, by headers alone: one, or several at the same places (phases, b-values). Pure.

A header is anything with `get(keyword)`, as in :mod:`~radnode.pipelines.sources.content`. Nothing is refused here; what
a stack lacks is found when it is read.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from radnode.pipelines.sources.content import b_value
from radnode.pipelines.sources.headers import MULTI_FRAME, numbers
from radnode.pipelines.sources.stack import COINCIDENT_MM, SAME_ORIENTATION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from radnode.pipelines.geometry import Affine
    from radnode.pipelines.sources.content import Header

# In this order: what makes several images of one place out of one acquisition or several.
_B_VALUE = "b-value"
_SEPARATORS = (
    _B_VALUE, "TemporalPositionIdentifier", "AcquisitionNumber", "EchoNumbers", "EchoTime", "TriggerTime",
    "ConvolutionKernel", "ImageType", "InversionTime", "AcquisitionDateTime", "AcquisitionTime",
)
_AXES = ("sagittal", "coronal", "axial")
_OBLIQUE = 0.8
"""Cosine between the normal of a plane and the body's axis: within 37 degrees it has the axis' name."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outline:
    """Where a stack lies. affine: (slice, row, column, 1) to LPS mm. shape: slices, rows, columns."""

    affine: Affine
    shape: tuple[int, int, int]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Between voxel centres along slice, row, column."""
        first, second, third = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(first), float(second), float(third)

    @property
    def volume_mm3(self) -> float:
        """Of all voxels."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) * math.prod(self.shape)

    @property
    def plane(self) -> str:
        """Of its slices: "axial", "coronal", "sagittal", or "oblique"."""
        normal = np.cross(self.affine[:3, 1], self.affine[:3, 2])
        cosines = np.abs(normal / np.linalg.norm(normal))
        return _AXES[int(cosines.argmax())] if cosines.max() >= _OBLIQUE else "oblique"

    def coverage_of(self, other: Outline, steps: int = 12) -> float:
        """The share of the other's voxels that this one covers, 0 to 1, by points spread evenly in it."""
        grid = np.meshgrid(*((np.arange(steps) + 0.5) / steps * size - 0.5 for size in other.shape), indexing="ij")
        points = np.stack([axis.ravel() for axis in grid], axis=1) @ other.affine[:3, :3].T + other.affine[:3, 3]
        index = (points - self.affine[:3, 3]) @ np.linalg.inv(self.affine[:3, :3]).T
        inside = (index >= -0.5) & (index <= np.array(self.shape) - 0.5)
        return float(inside.all(axis=1).mean())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stack:
    """Images of one series that may form one volume.

    stands_for: what tells it from the other stacks of its series, as in "b-value 800"; empty for the only one.
    outline: None where headers do not say where it lies (also for multi-frame images).
    """

    series_instance_uid: str
    headers: tuple[Header, ...]
    stands_for: str = ""
    outline: Outline | None = None

    @property
    def called(self) -> str:
        """For a sentence."""
        return f"series {self.series_instance_uid}{f' ({self.stands_for})' if self.stands_for else ''}"

    def text(self, keyword: str) -> str:
        """A value on which all images agree, as text; "" else."""
        values = {_written(header.get(keyword)) for header in self.headers}
        return values.pop() if len(values) == 1 else ""


def split(series_instance_uid: str, headers: Sequence[Header]) -> list[Stack]:
    """The stacks of one series: told apart by the first attribute that leaves no two images at one place.

    Images of another orientation are stacks of their own. Where nothing tells images at one place apart they stay
    together: whoever reads them refuses them.
    """
    if any(header.get("SOPClassUID") in MULTI_FRAME for header in headers):
        return [Stack(series_instance_uid=series_instance_uid, headers=tuple(headers))]
    stacks = []
    for group in _by_orientation(headers):
        parts, keyword = _separated(group)
        for value, part in sorted(parts.items(), key=lambda item: (len(item[0]), item[0])):
            name = f"{keyword} {value or 'absent'}" if len(parts) > 1 else ""
            stacks.append(Stack(series_instance_uid=series_instance_uid, headers=tuple(part), stands_for=name,
                                outline=outline_of(part)))
    return stacks


def outline_of(headers: Sequence[Header]) -> Outline | None:
    """Where parallel images lie; None if that cannot be said of two or more."""
    placed = [place for header in headers if (place := _place(header)) is not None]
    if len(placed) < 2 or len(placed) != len(headers):
        return None
    _, row, column, spacing, size = placed[0]
    normal = np.cross(row, column)
    positions = sorted((float(place[0] @ normal), tuple(place[0])) for place in placed)
    (low, first), (high, last) = positions[0], positions[-1]
    steps = np.diff([along for along, _ in positions])
    distinct = 1 + int((steps >= COINCIDENT_MM).sum())
    if distinct < 2 or high - low < COINCIDENT_MM:
        return None
    affine = np.eye(4)
    affine[:3, 0] = (np.array(last) - np.array(first)) / (distinct - 1)
    affine[:3, 1], affine[:3, 2], affine[:3, 3] = column * spacing[0], row * spacing[1], first
    if abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        return None
    return Outline(affine=affine, shape=(distinct, *size))


def _by_orientation(headers: Sequence[Header]) -> list[list[Header]]:
    groups: list[tuple[Any, list[Header]]] = []
    for header in headers:
        place = _place(header)
        for known, group in groups:
            if (place is None) == (known is None) and (place is None or _parallel(place, known)):
                group.append(header)
                break
        else:
            groups.append((place, [header]))
    return [group for _, group in groups]


def _parallel(one: Any, other: Any) -> bool:
    return bool(np.linalg.norm(one[1] - other[1]) < SAME_ORIENTATION
                and np.linalg.norm(one[2] - other[2]) < SAME_ORIENTATION)


def _separated(headers: Sequence[Header]) -> tuple[dict[str, list[Header]], str]:
    whole = {"": list(headers)}
    if (most := _most_at_one_place(headers)) < 2:
        return whole, ""
    for keyword in _SEPARATORS:
        parts = defaultdict(list)
        for header in headers:
            parts[_written(b_value(header) if keyword is _B_VALUE else header.get(keyword))].append(header)
        # A time that differs from slice to slice makes more parts than there are images at any place.
        if 1 < len(parts) <= most and all(_most_at_one_place(part) < 2 for part in parts.values()):
            return dict(parts), keyword
    return whole, ""


def _most_at_one_place(headers: Sequence[Header]) -> int:
    placed = [place for header in headers if (place := _place(header)) is not None]
    if not placed:
        return 0
    normal = np.cross(placed[0][1], placed[0][2])
    along = np.sort([float(place[0] @ normal) for place in placed])
    most = alike = 1
    for step in np.diff(along):
        alike = alike + 1 if step < COINCIDENT_MM else 1
        most = max(most, alike)
    return most


def _place(
    header: Header,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], tuple[float, float], tuple[int, int]] | None:
    """Position, row and column direction, spacing, and size; None where one of them is missing."""
    position = numbers(header.get("ImagePositionPatient"), 3)
    cosines = numbers(header.get("ImageOrientationPatient"), 6)
    spacing = numbers(header.get("PixelSpacing"), 2)
    size = numbers((header.get("Rows"), header.get("Columns")), 2)
    if position is None or cosines is None or spacing is None or size is None:
        return None
    return (np.array(position), np.array(cosines[:3]), np.array(cosines[3:]), (spacing[0], spacing[1]),
            (int(size[0]), int(size[1])))


def _written(value: Any) -> str:
    if value is None:
        return ""
    if hasattr(value, "__iter__") and not isinstance(value, str):
        return "\\".join(str(each) for each in value)
    return str(value).strip() if isinstance(value, str) else f"{value:.12g}"
