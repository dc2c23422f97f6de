"""The outline of the patient (EXTERNAL) with arms, without couch and clothes, and bone by its density."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from radnode.pipelines.ct_lung.body import TISSUE_HU, inside_body
from radnode.pipelines.ct_lung.grids import coarsen, refine

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radnode.pipelines.geometry import Orientation, Volume

BONE_HU = 200.0
_SQUARE = np.ones((1, 3, 3), np.bool_)
# An arm is thick and not small beside the trunk; a couch, a mask and a headrest are shells.
_ARM_SHARE, _ARM_MM = 0.01, 14.0
_BORDER_MM = 2.5
_SMALLEST_BONE_ML = 3.0


def body(volume: Volume, orientation: Orientation, device: str) -> NDArray[np.bool_]:
    """bool, shape of the volume; empty if there is nobody."""
    coarse = coarsen(volume, orientation, device)
    trunk = inside_body(coarse.hu)
    if not trunk.any():
        return np.zeros(volume.voxels.shape, np.bool_)
    patient = trunk | _arms(coarse.hu, trunk, coarse.spacing_mm)
    away = ndimage.distance_transform_edt(~patient, coarse.spacing_mm) <= _BORDER_MM
    deep = ndimage.distance_transform_edt(patient, coarse.spacing_mm) > _BORDER_MM
    # `refine` follows what is darker than a threshold; here it is what is denser.
    negative = replace(volume, voxels=-volume.voxels)
    return refine(negative, orientation, coarse, (deep, away), -TISSUE_HU, device)


def bones(volume: Volume, patient: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Dense bone: what is denser than 200 HU in connected pieces of 3 ml or more, its marrow not filled."""
    dense = (volume.voxels > BONE_HU) & patient & volume.valid
    labels, count = ndimage.label(dense)
    if count == 0:
        return dense
    sizes = np.bincount(labels.ravel()) * volume.voxel_volume_mm3 / 1000
    large = sizes >= _SMALLEST_BONE_ML
    large[0] = False
    return np.asarray(large[labels])


def _arms(
    hu: NDArray[np.float32], trunk: NDArray[np.bool_], spacing_mm: tuple[float, float, float]
) -> NDArray[np.bool_]:
    """Thick parts of the patient that no plane connects with the trunk."""
    tissue = (hu > TISSUE_HU) & ~trunk
    cores = ndimage.binary_erosion(tissue, _SQUARE, border_value=1)
    labels, _ = ndimage.label(cores)
    kept = np.zeros_like(trunk)
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        core = labels[box] == label
        if core.sum() < _ARM_SHARE * trunk.sum():
            continue
        thick = max(float(ndimage.distance_transform_edt(np.pad(plane, 1), spacing_mm[1:]).max()) for plane in core)
        if thick >= _ARM_MM:
            kept[box] |= core
    if not kept.any():
        return kept
    grown = ndimage.binary_dilation(kept, _SQUARE, iterations=2) & tissue
    return np.stack([ndimage.binary_fill_holes(plane) for plane in grown])
