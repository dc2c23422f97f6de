"""How far a segment and its reference agree: Dice, IoU, surface distances, volumes.

What is not defined is None and counted, never 0 or 1: where both masks are empty nothing is defined; where one is, Dice
and IoU are 0 by their formula and no surface distance is defined.
"""

from __future__ import annotations

import importlib
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radnode.pipelines.geometry import Affine

PERCENTILE = 95
# Cosine between two axes of a grid that counts as square: gantry tilt has more, rounding of headers less.
_SQUARE = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """One structure of one case. Volumes in millilitres, distances in millimetres between centres of border voxels.

    hd95_mm: the larger of the 95th percentiles in both directions. assd_mm: the mean over the border voxels of both.
    undefined: why something is None, empty if nothing is.
    """

    found_ml: float
    reference_ml: float
    dice: float | None
    iou: float | None
    hd95_mm: float | None
    assd_mm: float | None
    undefined: str = ""


def compare(found: NDArray[np.bool_], reference: NDArray[np.bool_], affine: Affine) -> Overlap:
    """MONAI's metrics of two masks on one grid.

    found, reference: bool, (slices, rows, columns). affine: (4, 4), index to LPS millimetres. Raises ValueError for
    masks of different shapes.
    """
    if found.shape != reference.shape:
        raise ValueError(f"masks of the shapes {found.shape} and {reference.shape}")
    voxel_ml = float(abs(np.linalg.det(affine[:3, :3]))) / 1000
    volumes: dict[str, Any] = {
        "found_ml": float(found.sum()) * voxel_ml, "reference_ml": float(reference.sum()) * voxel_ml}
    if not found.any() and not reference.any():
        return Overlap(**volumes, dice=None, iou=None, hd95_mm=None, assd_mm=None, undefined="both are empty")
    box = _box(found | reference)
    found, reference = found[box], reference[box]
    metrics, one, two = _metrics(), _batch(found), _batch(reference)
    dice = float(metrics.compute_dice(one, two, ignore_empty=False))
    iou = float(metrics.compute_iou(one, two, ignore_empty=False))
    if not found.any() or not reference.any():
        empty = "nothing was found" if reference.any() else "the reference is empty"
        return Overlap(**volumes, dice=dice, iou=iou, hd95_mm=None, assd_mm=None, undefined=empty)
    if not _square(affine):
        return Overlap(**volumes, dice=dice, iou=iou, hd95_mm=None, assd_mm=None, undefined="the grid is sheared")
    spacing = [float(each) for each in np.linalg.norm(affine[:3, :3], axis=0)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # MONAI 1.6 calls a function of its own that it will change
        hd95 = metrics.compute_hausdorff_distance(one, two, include_background=True, percentile=PERCENTILE,
                                                  spacing=spacing)
        assd = metrics.compute_average_surface_distance(one, two, include_background=True, symmetric=True,
                                                        spacing=spacing)
    return Overlap(**volumes, dice=dice, iou=iou, hd95_mm=float(hd95), assd_mm=float(assd))


def shares(found: NDArray[np.bool_], reference: NDArray[np.bool_], affine: Affine) -> Overlap:
    """As :func:`compare` without distances, which cost minutes on large organs and MONAI to be loaded."""
    if found.shape != reference.shape:
        raise ValueError(f"masks of the shapes {found.shape} and {reference.shape}")
    voxel_ml = float(abs(np.linalg.det(affine[:3, :3]))) / 1000
    one, two = int(np.count_nonzero(found)), int(np.count_nonzero(reference))
    both = int(np.count_nonzero(found & reference))
    undefined = "" if one + two else "both are empty"
    return Overlap(
        found_ml=one * voxel_ml, reference_ml=two * voxel_ml, dice=2 * both / (one + two) if one + two else None,
        iou=both / (one + two - both) if one + two else None, hd95_mm=None, assd_mm=None,
        undefined=undefined or "distances were not asked for",
    )


def _metrics() -> Any:
    return importlib.import_module("monai.metrics")


def _batch(mask: NDArray[np.bool_]) -> Any:
    """(1, 1, *shape), as MONAI's metrics want it."""
    return importlib.import_module("monai.utils").convert_to_tensor(np.ascontiguousarray(mask[np.newaxis, np.newaxis]))


def _box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """What holds every set voxel, and one more on each side, so that a border at the edge stays a border."""
    box = []
    for axis in range(mask.ndim):
        held = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        box.append(slice(max(int(held[0]) - 1, 0), int(held[-1]) + 2))
    return tuple(box)


def _square(affine: Affine) -> bool:
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(directions.T @ directions - np.eye(3)).max() < _SQUARE)
