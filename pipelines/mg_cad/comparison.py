"""Right against left: how much of each breast is dense, and where one is denser than the other's mirror image.

Both breasts are laid over each other, chest wall on chest wall and nipple on nipple, each scaled by its own depth and
area, as readers compare mirrored views (BI-RADS 5th edition, "asymmetries"). Grey is taken above the breast's own fat
and by the fat's own brightness, because each image was windowed for itself. Only words are made of it: no mark.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from radnode.pipelines.mg_cad.density import ThresholdDensity, deep_tissue

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from radnode.pipelines.geometry import Projection
    from radnode.pipelines.mg_cad.breast import Breast

    Plane = NDArray[np.float32]

SMALLEST_MM2 = 100.0
"""A smaller one-sided area is not told."""
_BLUR_MM, _DENSER = 5.0, 0.25
_STEPS = 96
"""Along the depth of the breast, and along the height of a breast of its area."""
_OPPOSITE = {"R": "L", "L": "R"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Where the breast of `side` is denser than the other's mirror image.

    area_mm2: on that breast. behind_mm: from the nipple towards the chest wall; above_mm: above the nipple in the
    picture (a CC view as it is hung: lateral; an MLO view: upper); both of the middle.
    """

    side: str
    area_mm2: float
    behind_mm: float
    above_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One view of both breasts. shares: side -> dense share of the area. region: the largest one-sided dense area."""

    view: str
    shares: Mapping[str, float]
    region: Region | None


def compared(breasts: Sequence[Breast], images: Sequence[Projection]) -> tuple[list[Compared], list[str]]:
    """Each view that was read of both breasts; and the views that were not compared, in words."""
    orientations = {each.source.sop_instance_uid: each.orientation for each in images}
    found, refused = [], []
    for view in ("CC", "MLO"):
        of_view = {each.side: each for each in breasts if each.view == view}
        if of_view.keys() != {"R", "L"}:
            continue
        if not all(_lies_as_hung(each, orientations.get(each.sop_instance_uid)) for each in of_view.values()):
            refused.append(f"Right and left {view} were not compared: Patient Orientation does not say that both lie "
                           f"with the {'lateral half' if view == 'CC' else 'head'} above.")
            continue
        shares = {side: ThresholdDensity()(each) for side, each in of_view.items()}
        found.append(Compared(view=view, shares=shares, region=_region(of_view["R"], of_view["L"])))
    return found, refused


def _lies_as_hung(breast: Breast, orientation: tuple[str, str] | None) -> bool:
    """Whether Patient Orientation says that lateral (CC) or the head (MLO) is above in the picture."""
    down = orientation[1].upper() if orientation is not None else ""
    return "F" in down if breast.view == "MLO" else down.startswith(_OPPOSITE[breast.side])


def _region(right: Breast, left: Breast) -> Region | None:
    values = {each.side: _laid(each) for each in (right, left)}
    both = np.isfinite(values["R"]) & np.isfinite(values["L"])
    best: Region | None = None
    for breast in (right, left):
        excess = values[breast.side] - values[_OPPOSITE[breast.side]]
        labels, count = ndimage.label(both & (np.where(both, excess, 0) > _DENSER))
        mm = _extents(breast)
        for number in range(1, count + 1):
            where = np.argwhere(labels == number)
            area = len(where) * mm[0] * mm[1] / _STEPS**2
            if area < SMALLEST_MM2 or (best is not None and area <= best.area_mm2):
                continue
            down, depth = (where.mean(0) + 0.5) / _STEPS
            best = Region(side=breast.side, area_mm2=area, behind_mm=float((1 - depth) * mm[1]),
                          above_mm=float((0.5 - down) * mm[0]))
    return best


def _extents(breast: Breast) -> tuple[float, float]:
    """(height of a breast of this area, twice: the middle is the nipple; depth of the nipple), millimetres."""
    depth = max(breast.nipple[0], breast.coarse_mm)
    area = float(breast.mask.sum()) * breast.coarse_mm**2
    return 1.4 * area / depth, depth


def _laid(breast: Breast) -> Plane:
    """Density above fat, by the fat's brightness, (rows, columns) of :data:`_STEPS`; not a number beside the tissue."""
    deep = deep_tissue(breast)
    smooth = ndimage.gaussian_filter(breast.coarse, 1.0)
    if not deep.any():
        return np.full((_STEPS, _STEPS), np.nan, np.float32)
    fat = float(np.percentile(smooth[deep], 5))
    air = float(np.median(breast.coarse[~breast.mask])) if (~breast.mask).any() else 0.0
    # Beside the deep tissue nothing counts: the mean over what does.
    sigma = _BLUR_MM / breast.coarse_mm
    weight = ndimage.gaussian_filter(deep.astype(np.float32), sigma)
    blurred = ndimage.gaussian_filter(np.where(deep, smooth - fat, 0).astype(np.float32), sigma)
    relative = blurred / np.maximum(weight, 1e-3) / max(fat - air, 1.0)
    height, depth = _extents(breast)
    steps = (np.arange(_STEPS) + 0.5) / _STEPS
    rows = (breast.nipple[1] + (steps - 0.5) * height) / breast.coarse_mm - 0.5
    columns = steps * depth / breast.coarse_mm - 0.5
    at = np.meshgrid(rows, columns, indexing="ij")
    sampled = ndimage.map_coordinates(relative, at, order=1, mode="nearest")
    inside = ndimage.map_coordinates(deep.astype(np.float32), at, order=1, mode="constant") > 0.5
    return np.where(inside, sampled, np.nan).astype(np.float32)
