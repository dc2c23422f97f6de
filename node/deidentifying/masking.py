"""Painting over what a kind of device writes into its images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.uid import ExplicitVRLittleEndian

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydicom.dataset import Dataset


def mask_of(dataset: Dataset, masks: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The mask for the device that made an image: same manufacturer, model, rows and columns."""
    maker = [str(dataset.get(each) or "").strip().casefold() for each in ("Manufacturer", "ManufacturerModelName")]
    size = [dataset.get("Rows"), dataset.get("Columns")]
    for mask in masks:
        if maker == [mask["manufacturer"].casefold(), mask["model"].casefold()] and size == [
            mask["rows"], mask["columns"],
        ]:
            return mask
    return None


def paint(dataset: Dataset, boxes: Iterable[tuple[int, int, int, int]]) -> None:
    """Set the samples of every frame within the boxes (left, top, right, bottom) to 0, uncompressed from now on.

    Raises whatever a decoder raises.
    """
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        dataset.decompress(generate_instance_uid=False)
    pixels = np.array(dataset.pixel_array)
    several = int(dataset.get("NumberOfFrames") or 1) > 1
    for left, top, right, bottom in boxes:
        if several:
            pixels[:, top:bottom, left:right] = 0
        else:
            pixels[top:bottom, left:right] = 0
    if dataset.SamplesPerPixel > 1:
        dataset.PlanarConfiguration = 0
    dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    dataset["PixelData"].VR = "OW" if dataset.BitsAllocated > 8 else "OB"
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.BurnedInAnnotation = "NO"
