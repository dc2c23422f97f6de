"""Whether slices form one regular stack. Pure geometry, in LPS millimetres.

PS3.3 C.7.6.2.1.1 fixes where each slice lies; that they lie regularly is our requirement, not the standard's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from radnode.pipelines.geometry import Affine
    from radnode.pipelines.sources.headers import Slice

COINCIDENT_MM = 0.02
# A slice may lie this part of the spacing away from its regular place, but no more than so many millimetres.
JITTER, JITTER_MM = 0.1, 0.25
_NOTED_JITTER = 0.02
# Two orientations are one if their cosines differ by no more: 0.1 degrees, 0.5 mm at the end of a long row.
SAME_ORIENTATION = 2e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Regularity:
    """How far a stack is from a regular one.

    spacing_mm: between neighbours. gaps_mm: where slices are missing, along the stack normal.
    irregular_mm: the largest distance of a slice from its regular place. drift_mm: how far the last slice is
    shifted within its plane against the first (gantry tilt); scatter_mm: how far slices are beside that line.
    """

    spacing_mm: float
    gaps_mm: tuple[float, ...]
    irregular_mm: float
    drift_mm: float
    scatter_mm: float

    @property
    def tolerance_mm(self) -> float:
        """The largest acceptable `irregular_mm` and `scatter_mm`."""
        return min(JITTER * self.spacing_mm, JITTER_MM)

    @property
    def is_noteworthy(self) -> bool:
        """Within tolerance, but not just rounded."""
        return self.irregular_mm > max(_NOTED_JITTER * self.spacing_mm, COINCIDENT_MM)


def same_orientation(one: Slice, other: Slice) -> bool:
    """Whether two slices are parallel and turned alike in their plane."""
    return bool(
        np.linalg.norm(one.row_direction - other.row_direction) < SAME_ORIENTATION
        and np.linalg.norm(one.column_direction - other.column_direction) < SAME_ORIENTATION
    )


def along_normal(slices: Sequence[Slice]) -> NDArray[np.float64]:
    """Where each slice lies along the normal of the first, in millimetres."""
    return np.stack([each.position for each in slices]) @ slices[0].normal


def in_order(slices: Sequence[Slice]) -> list[Slice]:
    """Sorted along the stack normal; Instance Number and file names mean nothing here."""
    order = np.argsort(along_normal(slices), kind="stable")
    return [slices[place] for place in order]


def coincident(ordered: Sequence[Slice]) -> list[list[Slice]]:
    """Slices of an ordered stack that lie at one place, group by group."""
    places = along_normal(ordered)
    groups = [[ordered[0]]]
    for index in range(1, len(ordered)):
        if places[index] - places[index - 1] < COINCIDENT_MM:
            groups[-1].append(ordered[index])
        else:
            groups.append([ordered[index]])
    return [group for group in groups if len(group) > 1]


def regularity(ordered: Sequence[Slice]) -> Regularity:
    """Measure an ordered stack of at least two slices at distinct places."""
    places = along_normal(ordered)
    steps = np.diff(places)
    # The lower median: with one slice of three missing, the steps are (1, 2) and the spacing is 1.
    spacing = float(np.sort(steps)[(len(steps) - 1) // 2])
    gaps = []
    for before, step in zip(places, steps, strict=False):
        missing = round(step / spacing) - 1
        gaps += [float(before + spacing * (k + 1)) for k in range(missing)]
    regular = np.linspace(places[0], places[-1], len(places))
    positions = np.stack([each.position for each in ordered])
    within = positions - np.outer(places, ordered[0].normal)
    line = within[0] + np.outer((places - places[0]) / (places[-1] - places[0]), within[-1] - within[0])
    return Regularity(
        spacing_mm=spacing,
        gaps_mm=tuple(gaps),
        irregular_mm=float(np.abs(places - regular).max()),
        drift_mm=float(np.linalg.norm(within[-1] - within[0])),
        scatter_mm=float(np.linalg.norm(within - line, axis=1).max()),
    )


def affine_of(ordered: Sequence[Slice]) -> Affine:
    """(slice, row, column, 1) to LPS millimetres of an ordered, regular stack; sheared if the stack is."""
    first, last = ordered[0], ordered[-1]
    affine = np.eye(4)
    affine[:3, 0] = (last.position - first.position) / (len(ordered) - 1)
    affine[:3, 1] = first.column_direction * first.spacing_mm[0]
    affine[:3, 2] = first.row_direction * first.spacing_mm[1]
    affine[:3, 3] = first.position
    return affine
