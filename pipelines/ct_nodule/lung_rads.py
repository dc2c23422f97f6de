"""Size categories of Lung-RADS v2022 for a baseline screening, as words with their rule; no recommendation.

American College of Radiology, Lung-RADS v2022 (November 2022), by mean diameter. Categories depend besides on margins,
fat, calcification, airways, cysts and on what a reader sees; that is said, not judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from radnode.pipelines.ct_nodule.measures import Kind

if TYPE_CHECKING:
    from radnode.pipelines.ct_nodule.measures import Nodule

_SOLID = ((6.0, "2", "solid, below 6 mm"), (8.0, "3", "solid, 6 to below 8 mm"),
          (15.0, "4A", "solid, 8 to below 15 mm"), (float("inf"), "4B", "solid, 15 mm or more"))
_SOLID_PART = ((6.0, "3", "part-solid, 6 mm or more, solid part below 6 mm"),
               (8.0, "4A", "part-solid, 6 mm or more, solid part 6 to below 8 mm"),
               (float("inf"), "4B", "part-solid, solid part 8 mm or more"))
# Denser than this throughout may be calcium, of which the pattern decides.
_CALCIUM_HU = 200.0


def size_category(nodule: Nodule) -> tuple[str, str] | None:
    """(category, rule) by size alone; None for a nodule whose kind is unknown, or that may be calcified.

    Mean diameters are compared to one decimal place, as Lung-RADS wants them.
    """
    size = round(nodule.mean_mm, 1)
    if nodule.kind is Kind.UNKNOWN or nodule.mean_hu > _CALCIUM_HU:
        return None
    if nodule.kind is Kind.GROUND_GLASS:
        return ("2", "ground-glass, below 30 mm") if size < 30 else ("3", "ground-glass, 30 mm or more")
    if nodule.kind is Kind.PART_SOLID:
        if nodule.solid_mm is None:
            return None
        if size < 6:
            return "2", "part-solid, below 6 mm in all"
        return _first(_SOLID_PART, round(nodule.solid_mm, 1))
    return _first(_SOLID, size)


def sentence(name: str, nodule: Nodule) -> str:
    """What a reader of a screening is told about one nodule's size."""
    found = size_category(nodule)
    if found is None:
        return f"{name}: no Lung-RADS size category, because its kind is not known or it may be calcified."
    category, rule = found
    return f"{name}: size category {category} of Lung-RADS v2022 at baseline, by the rule \"{rule}\"."


SAID_ONCE = (
    "Size categories are by mean diameter alone, for a baseline screening; margins, fat, calcification, nodules at the "
    "pleura and in airways, cysts and earlier images were not taken into account. They recommend nothing."
)


def _first(table: tuple[tuple[float, str, str], ...], size: float) -> tuple[str, str]:
    return next((category, rule) for limit, category, rule in table if size < limit)
