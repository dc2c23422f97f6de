"""From selected slices to voxels in modality units."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines.contract import NotProcessed, StudyImages
from radnode.pipelines.geometry import SourceFrame, Volume
from radnode.pipelines.sources.decoding import decode, pixel_format
from radnode.pipelines.sources.headers import numbers
from radnode.pipelines.sources.quality import judge_ct, judge_slices
from radnode.pipelines.sources.stack import affine_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from pydicom import Dataset

    from radnode.pipelines.sources.headers import Slice
    from radnode.pipelines.sources.select import Selection

# float32 voxels and their validity: 1,600 slices of 512 x 512.
VOLUME_BUDGET_BYTES = 2 * 1024**3
# Scanners fill what they did not measure with values far below air (-2000, -3024), declared or not. Noise in
# air, where it is not cut off at -1024, stays above this.
UNDECLARED_PADDING_HU = -1500.0


def read_images(selection: Selection, modality: str) -> StudyImages:
    """Decode a stack, with all that a pipeline is told about it. Raises as :func:`read_volume`."""
    notes = list(selection.notes)
    volume = read_volume(selection, notes)
    return StudyImages(
        volume=volume,
        modality=modality,
        excluded=selection.excluded,
        notes=tuple(dict.fromkeys(notes)),
        acquisition=selection.acquisition,
    )


def read_volume(selection: Selection, notes: list[str] | None = None) -> Volume:
    """Decode a stack.

    notes: gets what was odd about the pixels but readable. Raises IncompleteInput, naming the instance, when
    one does not decode: a stack with a slice left out is never returned. Raises NotProcessed for pixels that
    are not in modality units, too many, or show nothing.
    """
    slices = selection.slices
    shape = (len(slices), *slices[0].shape)
    if math.prod(shape) * 5 > VOLUME_BUDGET_BYTES:
        raise NotProcessed(f"{shape[0]} slices of {shape[2]}x{shape[1]} pixels are more than is read at once")
    rescales = [_rescale(each) for each in slices]
    for instance in {id(each.instance): each.instance for each in slices}.values():
        pixel_format(instance.dataset)
    voxels = np.empty(shape, np.float32)
    valid = np.empty(shape, np.bool_)
    floor = UNDECLARED_PADDING_HU if _modality(slices[0]) == "CT" else -np.inf
    found: list[str] = []
    for place, stored in _decoded(slices, found):
        slope, intercept = rescales[place]
        if slope == 1.0:  # as almost always: exact in single precision, and one pass over the pixels
            np.add(stored, np.float32(intercept), out=voxels[place], dtype=np.float32, casting="unsafe")
        else:
            voxels[place] = stored * np.float64(slope) + intercept
        np.greater(voxels[place], floor, out=valid[place])
        if (padded := padding(stored, slices[place].instance.dataset)) is not None:
            valid[place] &= ~padded
    found += judge_slices(voxels)
    affine = affine_of(slices)
    if _modality(slices[0]) == "CT":
        down, across = (float(each) for each in np.linalg.norm(affine[:3, 1:3], axis=0))
        found += judge_ct(voxels, valid, (down, across))
    if notes is not None:
        notes += dict.fromkeys(found)
    return Volume(
        voxels=voxels,
        affine=affine,
        frames=tuple(
            SourceFrame(
                sop_class_uid=str(each.instance.dataset.SOPClassUID),
                sop_instance_uid=each.instance.sop_instance_uid,
                frame_number=each.frame_number,
            )
            for each in slices
        ),
        valid=valid,
        series_instance_uid=str(slices[0].instance.dataset.SeriesInstanceUID),
        frame_of_reference_uid=slices[0].text("FrameOfReferenceUID"),
    )


def _modality(each: Slice) -> str:
    return str(each.instance.dataset.get("Modality", ""))


def _rescale(each: Slice) -> tuple[float, float]:
    """Slope and intercept to modality units (PS3.3 C.11.1). Hounsfield units are never assumed."""
    uid = each.instance.sop_instance_uid
    if _modality(each) == "PT" and (each.rescale is None or each.rescale[0] <= 0):
        raise NotProcessed(f"instance {uid} has no usable Rescale Slope: each image of PET has a scale of its own")
    if _modality(each) != "CT":
        return each.rescale or (1.0, 0.0)
    if each.rescale is None or each.rescale[0] == 0:
        raise NotProcessed(
            f"instance {uid} has no usable Rescale Slope and Intercept: not in Hounsfield units"
        )
    if each.text("RescaleType") not in ("", "HU"):
        raise NotProcessed(f"instance {uid} is in {each.text('RescaleType')[:16]}, not in Hounsfield units")
    return each.rescale


def _decoded(slices: tuple[Slice, ...], notes: list[str]) -> Iterator[tuple[int, NDArray[np.integer]]]:
    """Place in the stack and stored values; each file is opened once."""
    places: dict[str, list[int]] = {}
    for place, each in enumerate(slices):
        places.setdefault(each.instance.sop_instance_uid, []).append(place)
    for group in places.values():
        frames = [slices[place].frame_number or 1 for place in group]
        yield from zip(group, decode(slices[group[0]].instance, frames, notes), strict=True)


def padding(stored: NDArray[np.integer], dataset: Dataset) -> NDArray[np.bool_] | None:
    """Pixels between Pixel Padding Value and Pixel Padding Range Limit (PS3.3 C.7.5.1.1.2); None without them."""
    first = _as_stored(numbers(dataset.get("PixelPaddingValue"), 1), dataset)
    last = _as_stored(numbers(dataset.get("PixelPaddingRangeLimit"), 1), dataset)
    if first is None:
        return None
    low, high = sorted((first, first if last is None else last))
    return (stored >= low) & (stored <= high)


def _as_stored(value: tuple[float, ...] | None, dataset: Dataset) -> int | None:
    """Padding is often written as US where pixels are SS: 63536 means -2000."""
    if value is None:
        return None
    signed = dataset.PixelRepresentation == 1
    word = int(value[0]) & 0xFFFF
    return word - 0x10000 if signed and word >= 0x8000 else word
