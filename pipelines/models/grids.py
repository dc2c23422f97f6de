"""Voxels between the patient's coordinates (LPS millimetres) and MONAI's (RAS), and back onto the source's grid."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from monai.utils.enums import SpaceKeys

from radnode.pipelines.contract import RunFailed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radnode.pipelines.geometry import Affine, Volume

_SAME_PLACE = 1e-3  # of a voxel: what arithmetic in MONAI's affines leaves
_ROUNDED = 0.1  # of a voxel, at the farthest one
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def ras_affine(volume: Volume) -> Affine:
    """From (column, row, slice, 1) to RAS millimetres.

    Axes that only rounding in the headers keeps from being orthogonal are made so: on such a grid, however little it is
    askew, MONAI's Spacing shifts the finer grid by half a voxel and leaves out a border of the images.
    """
    affine: Affine = _LPS_TO_RAS @ volume.affine[:, [2, 1, 0, 3]]
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    left, _, right = np.linalg.svd(affine[:3, :3] / spacing)
    straight = left @ right * spacing
    moved = np.abs(straight - affine[:3, :3]) @ np.array(volume.voxels.shape[::-1])
    if moved.max() < _ROUNDED * spacing.min():
        affine[:3, :3] = straight
    return affine


def to_monai(volume: Volume, *more: Volume) -> MetaTensor:
    """The volume as MONAI's LoadImage would give it: float32, shape (columns, rows, slices), affine to RAS.

    That is the order of axes in which ITK, and so MONAI's own reader, gives a DICOM series. more: volumes on the same
    grid; all become channels, (channels, columns, rows, slices), as LoadImage makes of a list of files.
    """
    affine = torch.from_numpy(ras_affine(volume))
    images = [torch.from_numpy(_turned(each.voxels)) for each in (volume, *more)]
    # Without `spatial_ndim` MONAI would take the first axis for channels; pads, flips and zooms would then lie wrongly.
    image = MetaTensor(
        torch.stack(images) if more else images[0], affine=affine, spatial_ndim=3,
        meta={"original_channel_dim": 0 if more else "no_channel"},
    )
    image.meta.update(
        spatial_shape=np.array(images[0].shape), space=SpaceKeys.RAS,
        original_affine=affine.clone(), filename_or_obj=f"{volume.series_instance_uid}.dcm",
    )
    return image


def to_source(labels: torch.Tensor, volume: Volume) -> NDArray[np.integer]:
    """Labels of shape (channels, *any grid) -> (channels, slices, rows, columns) on the grid of the volume.

    Each voxel of the volume gets the label that lies nearest to its centre, if the centre lies in that label's voxel or
    the label in the volume's; else 0. So a label on a grid that is nowhere coarser than the volume's comes back to the
    very voxel of which it was made. Raises RunFailed for labels that do not say where they lie.
    """
    wanted = volume.voxels.shape[::-1]
    values = labels.cpu().numpy()
    if isinstance(labels, MetaTensor):
        there = np.linalg.inv(labels.affine.cpu().numpy().astype(np.float64)) @ ras_affine(volume)
        values = _nearest(values, there, wanted)
    elif values.shape[1:] != wanted:
        raise RunFailed(f"the model's answer has the shape {tuple(labels.shape)} and no place: neither that of "
                        "the images nor a grid that could be brought back to them")
    return np.stack([_turned(each) for each in values])


def _turned(values: NDArray[Any]) -> NDArray[Any]:
    """A copy with its three axes the other way round; row by row, several times faster than numpy's own."""
    found = np.empty(values.shape[::-1], values.dtype)
    for row in range(values.shape[1]):
        found[:, row] = values[:, row].T
    return found


def _nearest(values: NDArray[Any], there: Affine, shape: tuple[int, ...]) -> NDArray[Any]:
    """values, (channels, *grid), at the places to which `there` brings the indices of a grid of this shape."""
    last = np.array(shape) - 1
    if values.shape[1:] == shape and _moved(there - np.eye(4), last) < 0.5:
        return values
    reach = np.maximum(0.5, np.abs(there[:3, :3]).sum(axis=1) / 2) + _SAME_PLACE
    middle = there[:3, :3] @ (last / 2) + there[:3, 3]
    axes = max(permutations(range(3)), key=lambda order: sum(abs(there[row, order[row]]) for row in range(3)))
    across = there.copy()
    across[[0, 1, 2, 0, 1, 2], [*axes, 3, 3, 3]] = 0
    if _moved(across, last) < _SAME_PLACE:
        steps = (there[row, axis] * np.arange(shape[axis]) + there[row, 3] for row, axis in enumerate(axes))
        (i, at_i), (j, at_j), (k, at_k) = map(_taken, steps, middle, values.shape[1:], reach)
        found = values.take(i, 1).take(j, 2).take(k, 3)
        found[:, ~at_i] = found[:, :, ~at_j] = found[:, :, :, ~at_k] = 0
        return found.transpose(0, *(np.argsort(axes) + 1))
    found = np.empty((len(values), *shape), values.dtype)
    plane = np.indices(shape[1:]).reshape(2, -1)
    for first in range(shape[0]):
        places = there[:3, :1] * first + there[:3, 1:3] @ plane + there[:3, 3:]
        (i, at_i), (j, at_j), (k, at_k) = map(_taken, places, middle, values.shape[1:], reach)
        found[:, first] = (values[:, i, j, k] * (at_i & at_j & at_k)).reshape(len(values), *shape[1:])
    return found


def _moved(by: Affine, last: NDArray[np.integer]) -> float:
    """How far an index between 0 and `last` can be moved along an axis."""
    low, high = ((limit(by[:3, :3] * last, 0)).sum(axis=1) + by[:3, 3] for limit in (np.minimum, np.maximum))
    return float(max(np.abs(low).max(), np.abs(high).max()))


def _taken(
    places: NDArray[np.float64], middle: float, size: int, reach: float
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The indices along one axis that lie nearest to the places, and which of them are near enough.

    Of two that are equally near it is that towards the middle of the images: the other may be padding.
    """
    index = np.rint(places - np.sign(places - middle) * _SAME_PLACE).clip(0, size - 1)
    return index.astype(np.intp), np.abs(places - index) <= reach
