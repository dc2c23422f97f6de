"""Where the frames of one file lie, and with what window it wants to be shown. For the image process alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.pixels.processing import apply_modality_lut
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

from radnode.node.dicomweb_out.frames import NoPicture, Pixels, presentation

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom import Dataset

_MACROS = {"PlanePositionSequence": "ImagePositionPatient", "PlaneOrientationSequence": "ImageOrientationPatient",
           "PixelMeasuresSequence": "PixelSpacing"}
_OF_CT = (CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
_SHARES = (1.0, 99.5)


def planes(path: Path) -> dict[str, Any]:
    """`frames`: keyword -> numbers, one for each frame, empty where an image does not say where it lies. `window`:
    centre and width, in the units of the picture, and `window_of`: "header" or "values". `hounsfield`: whether these
    units are Hounsfield's.
    """
    pixels = Pixels(path)
    dataset = pixels.dataset
    middle = (pixels.frames + 1) // 2
    window, said = _window(pixels, middle)
    return {
        "frames": [place(dataset, number) for number in range(pixels.frames)],
        "window": window, "window_of": said, "hounsfield": _is_hounsfield(dataset, presentation(dataset, middle)),
        "colour": pixels.samples == 3 or dataset.get("PhotometricInterpretation") == "PALETTE COLOR",
    }


def place(dataset: Dataset, number: int) -> dict[str, list[float]]:
    """Keyword -> numbers of a frame, from 0. Raises NoPicture for one that is not described."""
    groups, shared = dataset.get("PerFrameFunctionalGroupsSequence"), dataset.get("SharedFunctionalGroupsSequence")
    if not groups:
        return {keyword: [float(each) for each in dataset[keyword].value] for keyword in _MACROS.values()
                if dataset.get(keyword)} if number == 0 else {}
    if number >= len(groups):
        raise NoPicture("the instance has more frames than it describes")
    found = {}
    for macro, keyword in _MACROS.items():
        for group in (groups[number], *(shared or [])[:1]):
            if group.get(macro) and group[macro][0].get(keyword):
                found[keyword] = [float(each) for each in group[macro][0][keyword].value]
                break
    return found


def _window(pixels: Pixels, number: int) -> tuple[list[float] | None, str]:
    dataset = presentation(pixels.dataset, number)
    if pixels.samples == 3 or dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
        return None, "colour"
    centers, widths = dataset.get("WindowCenter"), dataset.get("WindowWidth")
    if centers is not None and widths is not None and "VOILUTSequence" not in dataset:
        center, width = (float(np.atleast_1d(np.asarray(each, dtype=np.float64))[0]) for each in (centers, widths))
        if np.isfinite(center) and width >= 1:
            return [center, width], "header"
    values = np.asarray(apply_modality_lut(pixels.values(number), dataset), dtype=np.float64)
    values = values[np.isfinite(values)]
    if not values.size:
        return None, "values"
    low, high = np.percentile(values, _SHARES)
    return [round(float(low + high) / 2, 3), max(round(float(high - low), 3), 1.0)], "values"


def _is_hounsfield(dataset: Dataset, shown: Dataset) -> bool:
    """PS3.3 C.8.2.1.1.2: of CT images, unless the image says otherwise."""
    return bool(
        dataset.get("Modality") == "CT" and "RescaleIntercept" in shown
        and shown.get("RescaleType", "HU") in ("HU", "", None) and dataset.SOPClassUID in _OF_CT
    )
