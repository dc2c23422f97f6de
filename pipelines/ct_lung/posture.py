"""Whether the anatomy agrees with the orientation that the images declare.

Left and right are told by patient coordinates. A patient registered on the scanner in a posture that is not
the true one has them exchanged; trachea and spine give that away. In doubt nothing is refused here: with
contrast medium in heart and vessels, front and back cannot be told by bone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from radnode.pipelines.contract import NotProcessed
from radnode.pipelines.ct_lung.airways import find_airways
from radnode.pipelines.ct_lung.sides import centre_x

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radnode.pipelines.ct_lung.grids import Coarse

_BONE_HU = 130.0
_BONE_MM2, _HALF_WIDTH_MM = 80.0, 25.0
_SPINE_MISSING, _SPINE_COMPLETE = 0.85, 0.95
_TRACHEA_MM, _BETWEEN_LUNGS_MM, _BELOW_MM = 60.0, 20.0, 10.0


def refuse_contradiction(
    coarse: Coarse, inside: NDArray[np.bool_], airways: NDArray[np.bool_], lungs: NDArray[np.bool_]
) -> None:
    """Raises NotProcessed when the trachea leaves the lungs towards the feet, or the spine lies before it."""
    other_way = _airways_upside_down(coarse, inside)
    if _length(other_way) > _length(airways) and _leaves_downwards(other_way, lungs, coarse.spacing_mm[0]):
        raise NotProcessed(
            "the trachea leaves the lungs towards the feet: the images contradict the patient orientation "
            "that they declare"
        )
    before, behind = _planes_with_bone(coarse, lungs)
    if behind < _SPINE_MISSING and before > _SPINE_COMPLETE:
        raise NotProcessed(
            "the spine lies in front of the lungs: the images contradict the patient orientation that they declare"
        )


def _airways_upside_down(coarse: Coarse, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    reversed_affine = coarse.affine.copy()
    reversed_affine[:3, 3] += coarse.affine[:3, 0] * (coarse.hu.shape[0] - 1)
    reversed_affine[:3, 0] *= -1
    upside_down = replace(coarse, hu=coarse.hu[::-1], affine=reversed_affine)
    return find_airways(upside_down, inside[::-1], centre_x(inside, coarse))[::-1]


def _length(tube: NDArray[np.bool_]) -> int:
    return int(tube.any(axis=(1, 2)).sum())


def _leaves_downwards(trachea: NDArray[np.bool_], lungs: NDArray[np.bool_], step_mm: float) -> bool:
    """The trachea and main bronchi lie in the upper half of the lungs, or above them."""
    planes, lung_planes = (np.flatnonzero(mask.any(axis=(1, 2))) for mask in (trachea, lungs))
    weights = lungs.sum(axis=(1, 2))[lung_planes]
    below = float(np.average(lung_planes, weights=weights)) - float(planes.mean())
    shared = np.intersect1d(planes, lung_planes).size
    return (
        below * step_mm > _BELOW_MM and planes.size * step_mm >= _TRACHEA_MM and shared * step_mm >= _BETWEEN_LUNGS_MM
    )


def _planes_with_bone(coarse: Coarse, lungs: NDArray[np.bool_]) -> tuple[float, float]:
    """Share of the axial planes through the lungs that show bone in the middle, before and behind the lungs'
    centre. The spine is in all of them; sternum, and vessels with contrast medium, are not.
    """
    first, last = (int(each) for each in np.flatnonzero(lungs.any(axis=(1, 2)))[[0, -1]])
    _, row, column = (round(each) for each in ndimage.center_of_mass(lungs))
    _, row_mm, column_mm = coarse.spacing_mm
    half = max(1, round(_HALF_WIDTH_MM / column_mm))
    bone = coarse.hu[first : last + 1, :, max(0, column - half) : column + half + 1] > _BONE_HU
    enough = _BONE_MM2 / (row_mm * column_mm)
    return (
        float((bone[:, :row].sum(axis=(1, 2)) >= enough).mean()),
        float((bone[:, row:].sum(axis=(1, 2)) >= enough).mean()),
    )
