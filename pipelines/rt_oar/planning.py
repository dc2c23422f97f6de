"""Whether a CT can be one that a treatment is planned on, and what must be said of it.

That slices are missing, irregular or tilted, and that an image is a localiser, is refused before any pipeline runs
(:mod:`radnode.pipelines.sources.select`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines.acquisition import number
from radnode.pipelines.contract import NotProcessed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from radnode.pipelines.geometry import Volume

THICKEST_MM = 5.0
_AXIAL = 0.999
_CUT_MM, _CUT_SHARE = 20.0, 0.1


def refuse_other_slices(volume: Volume, acquisition: Mapping[str, str]) -> None:
    """Raises NotProcessed unless the slices are axial and at most 5 mm apart and thick."""
    normal = volume.affine[:3, 0] / np.linalg.norm(volume.affine[:3, 0])
    if abs(float(normal[2])) < _AXIAL:
        raise NotProcessed("the slices are not axial: a treatment is planned on axial slices of the planning CT")
    thickness = max(number(acquisition.get("SliceThickness")), volume.spacing_mm[0])
    if thickness > THICKEST_MM + 0.01:
        raise NotProcessed(f"slices of {thickness:.1f} mm: a planning CT has slices of {THICKEST_MM:.0f} mm or less; "
                           "send the thin reconstruction")


def refuse_cut_body(volume: Volume, body: NDArray[np.bool_]) -> None:
    """Raises NotProcessed where the patient reaches beyond the field of view at the sides, front or back."""
    cut = []
    for place, plane in enumerate(body):
        valid = np.pad(volume.valid[place], 1)
        edge = valid[1:-1, 1:-1] & ~(valid[:-2, 1:-1] & valid[2:, 1:-1] & valid[1:-1, :-2] & valid[1:-1, 2:])
        if float((plane & edge).sum()) * min(volume.spacing_mm[1:]) > _CUT_MM:
            cut.append(place)
    if len(cut) > _CUT_SHARE * len(body):
        raise NotProcessed(f"the body is cut off by the field of view on {len(cut)} of {len(body)} slices: dose cannot "
                           "be computed on them; send the planning CT with its full field of view")


def remarks(acquisition: Mapping[str, str]) -> list[str]:
    """What of the images a planner must know."""
    said = []
    if acquisition.get("ContrastBolusAgent"):
        said.append("The images were made with contrast medium: its densities are not the patient's at treatment.")
    posture = acquisition.get("PatientPosition", "")
    if posture not in ("", "HFS", "FFS"):
        said.append("The patient was not registered as supine: if that is not true, left and right are exchanged.")
    return said
