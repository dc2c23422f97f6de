"""Which axial slice body composition is measured on, and what may be said of its level.

L3 is said where a model segmented that vertebra. Without one, vertebrae cannot be counted from bone alone: the iliac
crests are a landmark that bone shows (at L4 in most people, L3/L4 to L5 in others), so the slice is named after them
and no vertebra is named. Where they are not in the images either, it is the middle slice, and its level is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from radnode.pipelines.ct_lung.sides import centre_x

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from radnode.pipelines.ct_lung.grids import Coarse
    from radnode.pipelines.findings import Code

L3 = "L3 vertebra"
_BONE_HU = 180.0
_MEDIAL_MM, _AT_SPINE_MM = 40.0, 62.0
_WING_ML, _WING_MM, _LEVEL_MM = 25.0, 45.0, 30.0
_ABOVE_MM = 6.0
_LUNG_HU, _LUNG_SHARE = -500.0, 0.06


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """z: LPS millimetres of the slice that is meant. name: for a label. said: a sentence, or nothing."""

    z: float
    name: str
    said: str = ""


def of_vertebra(centres_z: Mapping[Code, float]) -> Level | None:
    """The middle of L3, if it is there. centres_z: of what a model segmented, if the images do not cut it off."""
    z = next((z for code, z in centres_z.items() if code.meaning == L3), None)
    return None if z is None else Level(z=z, name="at L3")


def of_crests(coarse: Coarse, inside: NDArray[np.bool_]) -> Level | None:
    """Just above the iliac crests, the tops of the two large bones beside the sacrum; None if not clearly there.

    inside: the patient on the coarse grid.
    """
    columns = np.zeros((inside.shape[2], 3))
    columns[:, 2] = np.arange(inside.shape[2])
    beside = coarse.x_mm(columns) - centre_x(inside, coarse)
    bone = inside & (coarse.hu > _BONE_HU)
    tops = [_top(bone & side, np.abs(beside), coarse) for side in (beside < -_MEDIAL_MM, beside > _MEDIAL_MM)]
    if None in tops:
        return None
    (right, left), step = [float(top) for top in tops if top is not None], coarse.spacing_mm[0]
    if abs(right - left) * step > _LEVEL_MM:
        return None
    plane = max(right, left) + _ABOVE_MM / step
    if plane >= inside.shape[0]:
        return None
    z = float(coarse.affine[2, 3] + coarse.affine[2, 0] * plane)
    return Level(z=z, name="above iliac crests", said=(
        "Body composition was measured just above the iliac crests (about L4 in most people, L3/L4 to L5 in others): "
        "vertebrae were not counted, and it is not said to be L3."))


def in_the_middle(coarse: Coarse, inside: NDArray[np.bool_]) -> Level | None:
    """The middle slice; None where lung is on it, so that it shows no abdomen."""
    plane = inside.shape[0] // 2
    body = inside[plane]
    if not body.any() or float((coarse.hu[plane][body] < _LUNG_HU).mean()) > _LUNG_SHARE:
        return None
    z = float(coarse.affine[2, 3] + coarse.affine[2, 0] * plane)
    return Level(z=z, name="level unknown", said=(
        "Body composition was measured near the middle of the images; which vertebra lies there is unknown. Do not "
        "compare it with values for L3."))


def _top(bone: NDArray[np.bool_], beside_mm: NDArray[np.float64], coarse: Coarse) -> int | None:
    """The uppermost plane of an iliac wing: a large bone that reaches far down and towards the sacrum."""
    labels, count = ndimage.label(bone, np.ones((3, 3, 3)))
    found = ndimage.find_objects(labels)
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * coarse.voxel_ml
    for label in 1 + np.argsort(-sizes[1:]):
        box = found[label - 1]
        high = (box[0].stop - box[0].start) * coarse.spacing_mm[0]
        if sizes[label] >= _WING_ML and high >= _WING_MM and float(beside_mm[box[2]].min()) <= _AT_SPINE_MM:
            return int(box[0].stop) - 1
    return None
