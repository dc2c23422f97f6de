"""The sentences a radiologist must read with the numbers: limits of the method that this study touches."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from radnode.pipelines.acquisition import number, on_posture, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from radnode.pipelines.ct_lung.lungs import Lungs
    from radnode.pipelines.ct_lung.measures import LungMeasures
    from radnode.pipelines.geometry import Volume

_SIDES = {"left": "Left", "right": "Right"}
# Share of the right lung in both: 0.53-0.56 on average, 0.45-0.62 in nearly everybody.
_USUAL_RIGHT_SHARE = (0.43, 0.65)
_DENSE_HU = -650.0
_DENSITY_DIFFERENCE_HU = 70.0
_PLAUSIBLE_ML = (400.0, 6500.0)
_CUT_MM2 = 150.0
# A bulla or pneumothorax: so much air in one place with nothing in it, seen at a few millimetres.
_EMPTY_HU, _EMPTY_ML = -975.0, 60.0
# For the emphysema index slices of about 1 mm are wanted (QIBA profile for CT lung density).
_THICK_MM = 1.5

# Kernel names: Siemens with a number that grows with sharpness; GE, Canon and Philips for bone and lung.
_NUMBERED = re.compile(r"[A-Z][a-z]?(\d\d)[a-z]?")
_SHARP_FROM = 50
_SHARP = re.compile(r"LUNG|BONE\w*|EDGE|ULTRA|FC(3[0-9]|5[0-9]|8[0-9])|Y[A-D]|E|L|LA|D")


def on_what_was_found(lungs: Lungs, volume: Volume) -> list[str]:
    """What is missing, cut off or left out."""
    remarks = []
    for side, mask in (("left", lungs.left), ("right", lungs.right)):
        if mask is None:
            remarks.append(
                f"No {side} lung was found. This method finds only air-filled lung; it does not say why there is none."
            )
            continue
        for border in cut_borders(mask, volume):
            remarks.append(
                f"{_SIDES[side]} lung: cut off at the {border} border of the images; the numbers are of the part shown."
            )
        if (empty := _empty_ml(mask, volume)) >= _EMPTY_ML:
            remarks.append(
                f"{_SIDES[side]} lung: {empty:.0f} ml of it are air without structure in one place (a large "
                "bulla or a pneumothorax is counted as lung)."
            )
    if not lungs.airways_found:
        remarks.append("Trachea and main bronchi were not recognised; a part of them may be counted as lung.")
    if lungs.uncounted_ml >= 5:
        remarks.append(
            f"{lungs.uncounted_ml:.0f} ml of air near the lower lungs are not counted: they may be lung or bowel."
        )
    return remarks


def on_the_numbers(measures: Mapping[str, LungMeasures], complete: bool) -> list[str]:
    """What is implausible about the numbers. complete: no lung is cut off by the images."""
    remarks = []
    for side, found in measures.items():
        if found.mean_hu > _DENSE_HU:
            remarks.append(
                f"{_SIDES[side]} lung: mean density {found.mean_hu:.0f} HU is high for lung in inspiration "
                "(expiration, oedema, fibrosis, infiltrates?); denser parts may be missing from the segment."
            )
        if complete and not _PLAUSIBLE_ML[0] <= found.volume_ml <= _PLAUSIBLE_ML[1]:
            remarks.append(f"{_SIDES[side]} lung: {found.volume_ml:.0f} ml is an unusual volume for one adult lung.")
    if len(measures) == 2:
        remarks += _on_asymmetry(measures["left"], measures["right"], complete)
    return remarks


def on_the_images(acquisition: Mapping[str, str], slice_mm: float) -> list[str]:
    """Why the emphysema index of these images must be read with care, and the sides in a rare posture."""
    return on_posture(acquisition) + _on_emphysema_index(acquisition, slice_mm)


def _on_emphysema_index(acquisition: Mapping[str, str], slice_mm: float) -> list[str]:
    reasons = []
    kernel = acquisition.get("ConvolutionKernel", "")
    if not kernel:
        reasons.append("the reconstruction kernel is not known")
    elif _is_sharp(kernel):
        reasons.append(f"the sharp kernel {printable(kernel)} overestimates it")
    thickness = max(number(acquisition.get("SliceThickness")), slice_mm)
    if thickness > _THICK_MM:
        reasons.append(f"slices of {thickness:.1f} mm blur it (about 1 mm is wanted)")
    if acquisition.get("ContrastBolusAgent"):
        reasons.append("contrast medium underestimates it")
    if not reasons:
        return []
    return [f"Emphysema index (share below -950 HU) is not reliable here: {'; '.join(reasons)}."]


def _on_asymmetry(left: LungMeasures, right: LungMeasures, complete: bool) -> list[str]:
    remarks = []
    share = right.volume_ml / (right.volume_ml + left.volume_ml)
    if complete and not _USUAL_RIGHT_SHARE[0] <= share <= _USUAL_RIGHT_SHARE[1]:
        smaller = "Left" if share > 0.5 else "Right"
        remarks.append(
            f"{smaller} lung is much smaller than the other ({left.volume_ml:.0f} ml left, "
            f"{right.volume_ml:.0f} ml right). Consolidated or collapsed lung, tumour and effusion are "
            "not part of these segments: the smaller volume is that of the air-filled part only."
        )
    if abs(left.mean_hu - right.mean_hu) > _DENSITY_DIFFERENCE_HU:
        denser = "Left" if left.mean_hu > right.mean_hu else "Right"
        remarks.append(
            f"{denser} lung is denser than the other by {abs(left.mean_hu - right.mean_hu):.0f} HU; look for "
            "infiltrates, tumour or poor ventilation, and note that fully consolidated lung is not counted."
        )
    return remarks


def is_complete(lungs: Lungs, volume: Volume) -> bool:
    """Whether no lung reaches a border of the images."""
    return not any(cut_borders(mask, volume) for mask in (lungs.left, lungs.right) if mask is not None)


def cut_borders(mask: NDArray[np.bool_], volume: Volume) -> list[str]:
    """Names, by patient direction, of the images' borders that a mask reaches with 1.5 cm2 or more."""
    found = []
    directions = volume.affine[:3, :3] / np.linalg.norm(volume.affine[:3, :3], axis=0)
    names = (("right", "left"), ("front", "back"), ("lower", "upper"))
    for axis in range(3):
        area = volume.voxel_volume_mm3 / volume.spacing_mm[axis]
        patient_axis = int(np.abs(directions[:, axis]).argmax())
        forward = bool(directions[patient_axis, axis] > 0)
        for end, plane in ((0, np.take(mask, 0, axis)), (1, np.take(mask, -1, axis))):
            if float(plane.sum()) * area >= _CUT_MM2:
                found.append(names[patient_axis][int(forward == bool(end))])
    return found


def _empty_ml(mask: NDArray[np.bool_], volume: Volume) -> float:
    """Volume of the largest region in which blocks of about 6 mm are pure air."""
    factors = [max(1, round(6.0 / each)) for each in volume.spacing_mm]
    shape = [size // factor for size, factor in zip(mask.shape, factors, strict=True)]
    cut = tuple(slice(0, count * factor) for count, factor in zip(shape, factors, strict=True))
    blocks = [part for count, factor in zip(shape, factors, strict=True) for part in (count, factor)]
    whole = mask[cut].reshape(blocks).all(axis=(1, 3, 5))
    means = volume.voxels[cut].reshape(blocks).mean(axis=(1, 3, 5))
    labels, count = ndimage.label(whole & (means < _EMPTY_HU))
    if count == 0:
        return 0.0
    return float(np.bincount(labels.ravel())[1:].max()) * volume.voxel_volume_mm3 * float(np.prod(factors)) / 1000


def _is_sharp(kernel: str) -> bool:
    name = kernel.split("\\", maxsplit=1)[0].strip()
    numbered = _NUMBERED.fullmatch(name)
    return int(numbered[1]) >= _SHARP_FROM if numbered else bool(_SHARP.fullmatch(name.upper()))
