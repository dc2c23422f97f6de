"""A displacement field that a network answers with: the moving image, moved by it onto the fixed one.

The convention is that of MONAI's Warp: channel i of the field is a number of voxels along axis i of the grid that the
network saw, and what belongs at x of the fixed image lies at x + field(x) in the moving one. The field is brought into
the patient first, and the moving image is sampled as it was received: its numbers stay the scanner's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from monai.data.meta_tensor import MetaTensor
from scipy import ndimage

from radnode.pipelines.contract import NotProcessed, RunFailed
from radnode.pipelines.findings import Code, DerivedImage, Findings
from radnode.pipelines.models.grids import ras_affine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from numpy.typing import NDArray

    from radnode.pipelines.geometry import Affine, Volume

FORMATS = frozenset({"ddf", "displacement", "displacements", "displacement_field", "dense_displacement_field"})
DEFORMED = Code("125027", "DCM", "Deformed for Registration")
_VOXELS = frozenset({"", "voxel", "voxels", "pixel", "pixels"})


def moved(
    answer: torch.Tensor, said: Mapping[str, Any], shown: object, *, moving: Volume, fixed: Volume, unit: Code
) -> Findings:
    """The moving image on the grid of the fixed one, as a derived image, and what a reader must know of the field.

    answer: (3, *grid that the network saw). said: its entry in the metadata. shown: what the network saw, which tells
    where a field without a place lies. moving: resampled onto the grid of `fixed`, in its own numbers.
    Raises NotProcessed for a field in other units than voxels, RunFailed for one without a place or with no numbers.
    """
    if (measured := str(said.get("unit") or said.get("units") or "").lower()) not in _VOXELS:
        raise NotProcessed(f"the bundle's displacement field is in {measured!a}; read are voxels of the network's "
                           "grid, as MONAI's Warp takes them")
    affine = _place(answer, shown)
    field = answer.detach().cpu().float().numpy()
    if not np.isfinite(field).all():
        raise RunFailed("the displacement field holds values that are no numbers (NaN or infinite): its weights or the "
                        "images are not what it was made for")
    # Steps of the network's grid, as steps of the grid of the fixed image (both from RAS millimetres).
    to_fixed = np.linalg.inv(ras_affine(fixed))
    steps = np.tensordot((to_fixed[:3, :3] @ affine[:3, :3]).astype(np.float32), field, axes=1)
    values, valid = _sampled(steps, np.linalg.inv(affine) @ ras_affine(fixed), moving)
    if not valid.any():
        raise RunFailed("the displacement field moves the whole moving image out of the fixed one")
    known = moving.voxels[moving.valid]
    values[~valid] = min(0.0, float(known.min()))
    if float(values.min()) == float(values.max()):
        raise RunFailed("the moved image shows nothing: all its values are one")
    image = DerivedImage(
        key="image", label="Moving series on fixed", values=values, method=DEFORMED, unit=unit,
        derivation="The moving image, resampled linearly onto the fixed one by a model's displacement field.",
    )
    return Findings(volume=fixed, derived=image, remarks=(
        "A series of images was made: the moving series, moved onto the fixed one; no scanner acquired it.",
        *_remarks(field, affine, valid)))


def _place(answer: torch.Tensor, shown: object) -> Affine:
    """From an index of the field to RAS millimetres."""
    if answer.ndim != 4 or answer.shape[0] != 3:
        raise RunFailed(f"the displacement field has the shape {tuple(answer.shape)}; right would be three channels "
                        "over three axes")
    if isinstance(shown, MetaTensor) and shown.shape[-3:] == answer.shape[-3:]:
        return np.asarray(shown.affine.cpu().numpy(), np.float64)
    raise RunFailed(f"the displacement field has the shape {tuple(answer.shape[1:])}, which is not that of the images "
                    "that the network saw: where it lies is not known")


def _sampled(
    steps: NDArray[np.float32], there: Affine, moving: Volume
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(slices, rows, columns) of the moved image, and where it is known.

    steps: (3, *grid of the field), columns, rows and slices of the fixed image. there: from (column, row, slice) of the
    fixed image to the index of the field.
    """
    shape = moving.voxels.shape
    values, valid = np.zeros(shape, np.float32), np.zeros(shape, np.bool_)
    rows, columns = np.indices(shape[1:]).reshape(2, -1)
    complete = bool(moving.valid.all())
    for index in range(shape[0]):
        fixed = np.stack([columns, rows, np.full(rows.size, index)]).astype(np.float64)
        at = there[:3, :3] @ fixed + there[:3, 3:]
        by = [ndimage.map_coordinates(each, at, order=1, mode="nearest", prefilter=False) for each in steps]
        lies = (fixed + np.stack(by))[::-1]
        inside = _within(at, steps.shape[1:]) & _within(lies, shape)
        if not complete:
            known = moving.valid.astype(np.float32)
            inside &= ndimage.map_coordinates(known, lies, order=1, mode="nearest", prefilter=False) > 1 - 1e-3
        found = ndimage.map_coordinates(moving.voxels, lies, order=1, mode="nearest", prefilter=False)
        values[index], valid[index] = found.reshape(shape[1:]), inside.reshape(shape[1:])
    return values, valid


def _within(places: NDArray[np.float64], shape: Sequence[int]) -> NDArray[np.bool_]:
    """Which indices, (3, n), lie within the voxels of a grid."""
    size = np.array(shape)[:, None]
    return np.asarray(((places >= -0.5 - 1e-3) & (places <= size - 0.5 + 1e-3)).all(axis=0))


def _remarks(field: NDArray[np.float32], affine: Affine, valid: NDArray[np.bool_]) -> tuple[str, ...]:
    millimetres = np.linalg.norm(np.tensordot(affine[:3, :3].astype(np.float32), field, axes=1), axis=0)
    said = [f"The model moved it by {np.median(millimetres):.1f} mm (median), {millimetres.max():.1f} mm at most; "
            "how well both fit was not measured. The displacement field itself is not sent."]
    if (folded := _folded(field)) > 0:
        said.append(f"The displacement field folds over itself at {max(folded, 0.001):.1%} of its voxels: there the "
                    "moved image shows no anatomy.")
    if (beyond := 1 - float(valid.mean())) > 0.005:
        said.append(f"{beyond:.0%} of the fixed images have no counterpart in the moving series; there the moved image "
                    "is empty.")
    return tuple(said)


def _folded(field: NDArray[np.float32]) -> float:
    """The share of voxels where neighbours change places: the Jacobian determinant is not positive there.

    From each voxel to the next along each axis: central differences would not see neighbours that are exchanged.
    """
    folded = looked_at = 0
    for first in range(field.shape[1] - 1):  # plane by plane: nine numbers for each voxel at once are gigabytes
        here, after = field[:, first, :-1, :-1], field[:, first + 1, :-1, :-1]
        beside, below = field[:, first, 1:, :-1], field[:, first, :-1, 1:]
        jacobian = np.stack([each - here for each in (after, beside, below)], axis=1) + np.eye(3)[:, :, None, None]
        turned = np.linalg.det(np.moveaxis(jacobian, (0, 1), (-2, -1))) <= 0
        folded, looked_at = folded + int(turned.sum()), looked_at + turned.size
    return folded / max(looked_at, 1)
