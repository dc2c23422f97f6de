"""The same nodules in an earlier CT, and how fast they grew.

Pure functions on what was found in two CTs; :mod:`following` calls them with the priors that a route fetches. Two
series of one day, as of one study, are no two times: growth is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from numpy.typing import NDArray

    from radnode.pipelines.geometry import Affine

# How far a place may be off after lungs were laid over each other: breathing, and what an affine map leaves.
TOLERANCE_MM = 15.0
# Two measurements of one nodule differ by up to this (95 %): a change below 25 % is none (Fleischner Society 2017).
_LIMIT = float(np.log(1.25))
_FEWEST_DAYS = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A nodule at one time. tracking_uid, tracking_id: as its results carry them. center_lps: of its own images."""

    tracking_uid: str
    tracking_id: str
    side: str
    center_lps: tuple[float, float, float]
    volume_mm3: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubling:
    """days: between the images. ratio: later volume by earlier. time_days: in which the volume doubles, negative if it
    halves; None if the change is within the error of measurement. between_days: (fastest, slowest) that the error
    leaves.
    """

    days: int
    ratio: float
    time_days: float | None
    between_days: tuple[float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A nodule now, with the one it was. It keeps the tracking identity of the earlier one."""

    now: Seen
    before: Seen | None
    doubling: Doubling | None

    @property
    def identity(self) -> tuple[str, str]:
        """(Tracking UID, Tracking ID) under which it goes on."""
        kept = self.before or self.now
        return kept.tracking_uid, kept.tracking_id


def over_lung(before_lps: NDArray[np.float64], now_lps: NDArray[np.float64]) -> Affine:
    """The map (4, 4) from a lung then to the same lung now: its middle and its extent along each axis of the patient.

    before_lps, now_lps: (n, 3) points spread evenly over the lung, millimetres. Raises ValueError for lungs so
    different in size that one of them is cut off or collapsed.
    """
    scale = now_lps.std(axis=0) / before_lps.std(axis=0)
    if (scale < 0.67).any() or (scale > 1.5).any():
        raise ValueError("the lung has another size than before: one of the two is cut off, collapsed or another's")
    affine = np.diag([*scale, 1.0])
    affine[:3, 3] = now_lps.mean(axis=0) - scale * before_lps.mean(axis=0)
    return affine


def compared(
    now: Sequence[Seen], before: Sequence[Seen], over: Mapping[str, Affine], taken: tuple[date, date]
) -> tuple[list[Compared], list[Seen]]:
    """Each nodule now with the one it was, if any, and the earlier ones that have no counterpart.

    over: side -> map from then to now (:func:`over_lung`). taken: (then, now). Pairs lie in the same lung within
    :data:`TOLERANCE_MM`, all of them together as near as possible. Raises ValueError for images that are not later.
    """
    days = (taken[1] - taken[0]).days
    if days < _FEWEST_DAYS:
        raise ValueError("the images are not of a later day: no growth can be said")
    distance = np.array([[_apart(one, other, over) for other in before] for one in now]).reshape(len(now), len(before))
    pairs = dict(zip(*linear_sum_assignment(np.minimum(distance, 1e6)), strict=True)) if distance.size else {}
    pairs = {one: other for one, other in pairs.items() if distance[one, other] <= TOLERANCE_MM}
    said = [
        Compared(now=each, before=before[pairs[place]],
                 doubling=doubling(before[pairs[place]].volume_mm3, each.volume_mm3, days))
        if place in pairs else Compared(now=each, before=None, doubling=None)
        for place, each in enumerate(now)
    ]
    return said, [each for place, each in enumerate(before) if place not in pairs.values()]


def doubling(before_mm3: float, now_mm3: float, days: int) -> Doubling:
    """Volume doubling time, exponential growth (Schwartz, Cancer 14:1272, 1961). Raises ValueError for no volume."""
    if before_mm3 <= 0 or now_mm3 <= 0 or days < _FEWEST_DAYS:
        raise ValueError("two volumes and a later day are needed")
    change = float(np.log(now_mm3 / before_mm3))
    if abs(change) <= _LIMIT:
        return Doubling(days=days, ratio=now_mm3 / before_mm3, time_days=None, between_days=None)
    scaled, sign = days * float(np.log(2)), 1.0 if change > 0 else -1.0
    between = scaled / (change + sign * _LIMIT), scaled / (change - sign * _LIMIT)
    return Doubling(days=days, ratio=now_mm3 / before_mm3, time_days=scaled / change, between_days=between)


def _apart(now: Seen, before: Seen, over: Mapping[str, Affine]) -> float:
    if now.side != before.side or now.side not in over:
        return float("inf")
    moved = over[now.side] @ np.array([*before.center_lps, 1.0])
    return float(np.linalg.norm(moved[:3] - np.array(now.center_lps)))
