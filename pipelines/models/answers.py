"""What a network says, as findings: by the bundle's `network_data_format` and the names of its labels.

A label map has one channel of numbers; a multi-label answer has a channel for each class, 0 or 1; what was left
undecided (probabilities) is decided here, as softmax or sigmoid answers are, and that is said.
"""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from radnode.pipelines.contract import RunFailed
from radnode.pipelines.findings import Findings, Segment, values_present
from radnode.pipelines.models import description, grids
from radnode.pipelines.models.terms import term

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from radnode.pipelines.geometry import Volume

_BACKGROUND = {"background", "bg", "unlabelled"}


def segments(answer: torch.Tensor, said: Mapping[str, Any], volume: Volume) -> Findings:
    """Findings of a segmentation. answer: (channels, *grid). said: its entry in `network_data_format` / outputs.

    Raises RunFailed for numbers that are none, for more or other channels than the bundle announces.
    """
    names = description.names(said)
    answer, remarks = decided(answer, names)
    found = named(grids.to_source(answer, volume), names)
    missing = [name for value, name in names.items() if name.lower() not in _BACKGROUND
               and value not in {segment.value for segment in found} and name not in {each.label for each in found}]
    if missing and found:
        remarks = (*remarks, f"Not found: {', '.join(name.replace('_', ' ') for name in missing[:20])}"
                             f"{' and others' if len(missing) > 20 else ''}.")
    return Findings(volume=volume, segments=tuple(found), measurements=(), remarks=remarks)


def named(values: NDArray[Any], names: Mapping[int, str]) -> list[Segment]:
    """Segments of labels, (1, ...), or of a channel for each class. Raises RunFailed for what was not announced."""
    return _of_label_map(values[0], names) if len(values) == 1 else _of_channels(values, names)


def decided(answer: torch.Tensor, names: Mapping[int, str]) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Labels, or channels of 0 and 1, with what a reader must know of how they were decided. Raises RunFailed."""
    classes = len(names)
    labels = answer.to(torch.uint8)
    if torch.equal(labels.to(answer.dtype), answer) and (len(answer) == 1 or int(labels.max()) <= 1):
        return labels, ()
    if not np.isfinite(answer.cpu().numpy()).all():
        raise RunFailed("the model's answer holds values that are no numbers (NaN or infinite): its weights or the "
                        "images are not what it was made for")
    whole = bool((answer == answer.round()).all())
    if whole and (answer.shape[0] == 1 or float(answer.max()) <= 1):
        return answer, ()
    if answer.shape[0] == 1:
        if float(answer.min()) < 0 or float(answer.max()) > 1 or classes > 2:
            raise RunFailed("the model's answer has one channel that holds neither labels nor a probability")
        return (answer >= 0.5).to(answer.dtype), ("Probabilities of the model were cut at 0.5.",)
    if answer.shape[0] != classes:
        raise RunFailed(f"the model answers with {answer.shape[0]} channels, the bundle announces {classes}")
    return answer.argmax(dim=0, keepdim=True), ("The most probable class of each voxel was taken.",)


def _of_label_map(values: NDArray[np.integer], names: Mapping[int, str]) -> list[Segment]:
    wanted = np.uint16 if max(names) > 255 else np.uint8
    labels = values if values.dtype == wanted else np.rint(values).astype(wanted)
    present = [value for value in np.flatnonzero(values_present(labels).any(axis=0)).tolist() if value]
    if unknown := [value for value in present if value not in names]:
        raise RunFailed(f"the model answers with the labels {unknown[:10]}, which the bundle does not announce")
    return [_segment(value, names[value], labels) for value in present if names[value].lower() not in _BACKGROUND]


def _of_channels(values: NDArray[np.integer], names: Mapping[int, str]) -> list[Segment]:
    if len(values) != len(names):
        raise RunFailed(f"the model answers with {len(values)} channels, the bundle announces {len(names)}")
    masks = {value: values[place] > 0.5 for place, value in enumerate(sorted(names))}
    return [_segment(value, names[value], mask) for value, mask in masks.items()
            if names[value].lower() not in _BACKGROUND and mask.any()]


def _segment(value: int, name: str, voxels: NDArray[Any]) -> Segment:
    meant = term(name)
    return Segment(
        key=meant.key or f"label-{value}",
        label=meant.label[:64],
        category=meant.category,
        type=meant.type,
        site=meant.site,
        laterality=meant.laterality,
        voxels=voxels,
        value=1 if voxels.dtype == np.bool_ else value,
        rgb=colour(value),
    )


def colour(value: int) -> tuple[int, int, int]:
    """Colours that are far apart for neighbouring values (golden angle)."""
    red, green, blue = colorsys.hsv_to_rgb((value * 0.618033988749895) % 1.0, 0.65, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)
