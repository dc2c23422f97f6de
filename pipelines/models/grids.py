"""Voxels between the patient's coordinates (LPS millimetres) and MONAI's (RAS), and back onto the source's grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from monai.transforms.spatial.functional import spatial_resample
from monai.utils.enums import SpaceKeys

from radnode.pipelines.contract import RunFailed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radnode.pipelines.geometry import Affine, Volume

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def ras_affine(volume: Volume) -> Affine:
    """From (column, row, slice, 1) to RAS millimetres."""
    return _LPS_TO_RAS @ volume.affine[:, [2, 1, 0, 3]]


def to_monai(volume: Volume, *more: Volume) -> MetaTensor:
    """The volume as MONAI's LoadImage would give it: float32, shape (columns, rows, slices), affine to RAS.

    That is the order of axes in which ITK, and so MONAI's own reader, gives a DICOM series. more: volumes on the same
    grid; all become channels, (channels, columns, rows, slices), as LoadImage makes of a list of files.
    """
    affine = torch.from_numpy(ras_affine(volume))
    images = [torch.from_numpy(each.voxels.transpose(2, 1, 0).copy()) for each in (volume, *more)]
    image = MetaTensor(torch.stack(images) if more else images[0], affine=affine)
    image.meta.update(
        original_channel_dim=0 if more else "no_channel", spatial_shape=np.array(images[0].shape), space=SpaceKeys.RAS,
        original_affine=affine.clone(), filename_or_obj=f"{volume.series_instance_uid}.dcm",
    )
    return image


def to_source(labels: torch.Tensor, volume: Volume) -> NDArray[np.integer]:
    """Labels of shape (channels, *any grid) -> (channels, slices, rows, columns) on the grid of the volume.

    Nearest neighbour where the grids differ; element for element where they do not. Raises RunFailed for labels that
    do not say where they lie.
    """
    wanted = volume.voxels.shape[::-1]
    affine = ras_affine(volume)
    if not isinstance(labels, MetaTensor):
        if tuple(labels.shape[1:]) != wanted:
            raise RunFailed(f"the model's answer has the shape {tuple(labels.shape)} and no place: neither that of "
                            "the images nor a grid that could be brought back to them")
    elif tuple(labels.shape[1:]) != wanted or not np.allclose(labels.affine.cpu().numpy(), affine, atol=1e-3):
        labels = spatial_resample(
            labels.float(), torch.from_numpy(affine), spatial_size=wanted, mode="nearest", padding_mode="zeros",
            align_corners=False, dtype_pt=torch.float32, lazy=False, transform_info={},
        )
    found: NDArray[np.integer] = labels.cpu().numpy().transpose(0, 3, 2, 1)
    return found
