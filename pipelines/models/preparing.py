"""What a described model is shown and what becomes of its answer, composed of MONAI's transforms from `model.yaml`.

The same for every runtime. A transform keeps account of where its voxels lie; so the answer is brought back to the grid
of the images by that, whatever was turned, resampled, cut or padded before.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from monai.inferers.utils import sliding_window_inference
from monai.transforms.compose import Compose
from monai.transforms.croppad.array import CropForeground, ResizeWithPadOrCrop
from monai.transforms.intensity.array import NormalizeIntensity, ScaleIntensityRange, ScaleIntensityRangePercentiles
from monai.transforms.spatial.array import Orientation, Spacing
from monai.transforms.spatial.functional import spatial_resample

from radnode.pipelines.contract import RunFailed
from radnode.pipelines.denoising import denoised, noise_of, tissue_of
from radnode.pipelines.models import grids
from radnode.pipelines.models.finite import finite
from radnode.pipelines.results.window_presets import PRESETS

if TYPE_CHECKING:
    from radnode.pipelines.geometry import Volume
    from radnode.pipelines.models.model_file import Input, Intensity, Output
    from radnode.pipelines.models.runtimes import Network

_LEAST = 0.5
"""From this probability on a voxel belongs to a region."""


def prepare(volume: Volume, said: Input) -> tuple[MetaTensor, tuple[str, ...]]:
    """The volume as the network wants it, float32, shape (1, *grid), on that grid's affine; and remarks on it.

    Raises RunFailed for images of which nothing is left.
    """
    if said.denoise:
        noise = noise_of(volume.voxels, tissue_of(volume.voxels, volume.valid))
        volume = replace(volume, voxels=denoised(volume.voxels, volume.spacing_mm, noise))
    steps: list[Any] = [Orientation(axcodes=said.orientation, labels=None)]
    if said.spacing:
        steps.append(Spacing(pixdim=said.spacing, mode="bilinear", padding_mode="border"))
    if said.intensity:
        steps.append(_scaling(said.intensity))
    if said.crop_above is not None:
        least = said.crop_above
        steps.append(CropForeground(select_fn=lambda image: image > least, allow_smaller=True))
    prepared: MetaTensor = Compose(steps)(grids.to_monai(volume)[None])
    if 0 in prepared.shape:
        raise RunFailed(f"no voxel of these images lies above crop_above, {said.crop_above:g}")
    remarks: tuple[str, ...] = ()
    if said.size:
        if any(has > wants for has, wants in zip(prepared.shape[1:], said.size, strict=True)):
            remarks = ("The images are larger than what the model reads: their outer parts were not looked at.",)
        resize: Any = ResizeWithPadOrCrop(said.size, mode="constant", constant_values=float(prepared.min()))
        prepared = resize(prepared)
    return prepared, remarks


def infer(network: Network, image: MetaTensor, said: Input, device: str) -> MetaTensor:
    """The answer on the same grid, shape (channels, *grid). Raises RunFailed for one that is none."""
    batch = torch.as_tensor(image.as_tensor())[None].contiguous().to(device)
    with torch.inference_mode():
        answer: Any = _windows(network, batch, said) if said.patch else network(batch)
    if not isinstance(answer, torch.Tensor) or answer.ndim != 5 or answer.shape[2:] != batch.shape[2:]:
        shape = tuple(answer.shape) if isinstance(answer, torch.Tensor) else type(answer).__name__
        raise RunFailed(f"it answers with {shape} to an image of {tuple(batch.shape)}; right would be one tensor "
                        "(1, channels, and the three sizes of the image)")
    return MetaTensor(finite(answer)[0].float().cpu(), affine=image.affine)



def decide(answer: MetaTensor, said: Output, volume: Volume) -> torch.Tensor:
    """Label numbers (1, columns, rows, slices) on the grid of the volume; of regions, 0 and 1 in a channel for each.

    Probabilities are brought back before they are decided, one channel after the other; labels by nearest neighbour.
    Raises RunFailed for other channels than `said` names.
    """
    wanted = 1 if said.answer == "labels" else len(said.labels)
    if len(answer) != wanted:
        raise RunFailed(f"it answers with {len(answer)} channels, model.yaml names {wanted}; correct output.labels")
    if said.answer == "labels":
        return torch.from_numpy(grids.to_source(answer, volume).transpose(0, 3, 2, 1).copy())
    values, affine = torch.as_tensor(answer.as_tensor()), answer.affine
    if said.activation != "none":
        values = torch.softmax(values, dim=0) if said.activation == "softmax" else torch.sigmoid(values)
    if said.answer == "regions":
        if float(values.min()) < 0 or float(values.max()) > 1:
            raise RunFailed("it answers with values that are no probabilities; `activation: sigmoid` in model.yaml "
                            "makes them so, if it was trained that way")
        return torch.stack([(_brought_back(each, affine, volume) >= _LEAST).float() for each in values])
    best = _brought_back(values[0], affine, volume)
    labels = torch.zeros_like(best)
    for number in range(1, wanted):
        value = _brought_back(values[number], affine, volume)
        labels[value > best] = number
        best = torch.maximum(best, value)
    return labels[None]


def _scaling(said: Intensity) -> Any:
    if said.window:
        low, high = said.window if isinstance(said.window, tuple) else PRESETS[said.window].limits
        return ScaleIntensityRange(low, high, *said.to, clip=True)
    if said.percentiles:
        return ScaleIntensityRangePercentiles(*said.percentiles, *said.to, clip=True)
    if said.mean_std:
        return NormalizeIntensity(subtrahend=np.array(said.mean_std[0]), divisor=np.array(said.mean_std[1]))
    return NormalizeIntensity(nonzero=said.z_score == "nonzero")


def _windows(network: Network, batch: torch.Tensor, said: Input) -> Any:
    return sliding_window_inference(
        batch, said.patch or (), sw_batch_size=1, predictor=network, overlap=said.overlap, mode="gaussian",
        padding_mode="constant", cval=float(batch.min()),
    )


def _brought_back(channel: torch.Tensor, affine: torch.Tensor, volume: Volume) -> torch.Tensor:
    """(*grid of that affine) -> (columns, rows, slices) of the volume: as it is where voxels meet, else linearly."""
    wanted = grids.ras_affine(volume)
    step = np.linalg.solve(affine.cpu().numpy().astype(np.float64), wanted)
    meet = np.allclose(step, np.rint(step), atol=1e-3)
    found: torch.Tensor = spatial_resample(
        MetaTensor(channel[None], affine=affine), torch.from_numpy(wanted), spatial_size=volume.voxels.shape[::-1],
        mode="nearest" if meet else "bilinear", padding_mode="zeros", align_corners=False, dtype_pt=torch.float32,
        lazy=False, transform_info={},
    )
    return found.as_subclass(torch.Tensor)[0]
