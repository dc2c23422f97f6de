"""An image that a network makes of the images (enhanced, translated, warped), as a derived image on their grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from monai.transforms.spatial.functional import spatial_resample

from radnode.pipelines.contract import NotProcessed, RunFailed
from radnode.pipelines.findings import Code, DerivedImage, Findings
from radnode.pipelines.models.displacement import DEFORMED
from radnode.pipelines.models.grids import ras_affine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from radnode.pipelines.geometry import Volume

HOUNSFIELD, NO_UNIT = Code("[hnsf'U]", "UCUM", "Hounsfield unit"), Code("1", "UCUM", "no units")
_SLICED = ("CT", "MR")


def check_modality(said: Mapping[str, Any], modality: str) -> None:
    """Raises NotProcessed where the image would be of another kind than its source, or of one that is not written."""
    made = str(said.get("modality") or modality).upper().replace("MRI", "MR")
    if made != modality:
        raise NotProcessed(f"the bundle makes {made} images of {modality} images; such an image would pass for one "
                           f"that a {made} scanner made, so it is not written")
    if modality not in _SLICED:
        raise NotProcessed(f"a derived image series is written of CT and MR images, not of {modality}")


def derived(answer: torch.Tensor, said: Mapping[str, Any], about: str, modality: str, volume: Volume) -> Findings:
    """The model's image. answer: (1, *grid) with the place of its grid, or without one on the grid of the images.

    said: its entry in the metadata. about: what the authors say that the model does, in words. Raises RunFailed for an
    image of several channels, without a place, or of numbers that are none.
    """
    if answer.shape[0] != 1:
        raise RunFailed(f"the model's image has {answer.shape[0]} channels; one is what CT and MR images have")
    values = _on_grid(answer, volume)
    if not np.isfinite(values).all():
        raise RunFailed("the model's image holds values that are no numbers (NaN or infinite): its weights or the "
                        "images are not what it was made for")
    if float(values.min()) == float(values.max()):
        raise RunFailed("the model's image shows nothing: all its values are one")
    warped = "registration" in about.lower()
    hounsfield = modality == "CT" and str(said.get("format", "")).lower() == "hounsfield"
    image = DerivedImage(
        key="image", label=" ".join(about.split())[:40], values=values, method=DEFORMED if warped else None,
        unit=HOUNSFIELD if hounsfield else NO_UNIT, derivation=f"{' '.join(about.split())[:200]}.",
    )
    units = () if hounsfield or modality != "CT" else (
        "The numbers of the derived image are the model's own, no Hounsfield units.",)
    return Findings(volume=volume, derived=image, remarks=(
        "A series of images was made by the model; no scanner acquired it.", *units))


def _on_grid(answer: torch.Tensor, volume: Volume) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(slices, rows, columns), interpolated linearly where the grids differ."""
    wanted, affine = volume.voxels.shape[::-1], ras_affine(volume)
    if not isinstance(answer, MetaTensor):
        if tuple(answer.shape[1:]) != wanted:
            raise RunFailed(f"the model's image has the shape {tuple(answer.shape[1:])} and no place: neither that of "
                            "the images nor a grid that could be brought back to them")
    elif tuple(answer.shape[1:]) != wanted or not np.allclose(answer.affine.cpu().numpy(), affine, atol=1e-3):
        answer = spatial_resample(
            answer.float(), torch.from_numpy(affine), spatial_size=wanted, mode="bilinear", padding_mode="border",
            align_corners=False, dtype_pt=torch.float32, lazy=False, transform_info={},
        )
    found = answer[0].detach().cpu().float().numpy().transpose(2, 1, 0)
    return np.ascontiguousarray(found, dtype=np.float32)
