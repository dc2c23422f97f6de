"""Body composition as findings: segments on one slice, their areas and mean densities, and the ratio of the fats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines.ct_lung.measures import ATTENUATION, HOUNSFIELD, MEAN
from radnode.pipelines.ct_organs.tissue import tissues
from radnode.pipelines.findings import Code, Measurement, Segment

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radnode.pipelines.ct_organs.level import Level
    from radnode.pipelines.geometry import Orientation, Volume

TISSUE = Code("85756007", "SCT", "Tissue")
FAT = Code("55603005", "SCT", "Fat")
SKELETAL_MUSCLE = Code("127954009", "SCT", "Skeletal muscle")
SUBCUTANEOUS = Code("SUBCUT_FAT", "99RADNODE", "Subcutaneous fat")
VISCERAL = Code("VISCERAL_FAT", "99RADNODE", "Visceral fat")
AREA = Code("42798000", "SCT", "Area")
SQUARE_CM = Code("cm2", "UCUM", "square centimeter")
RATIO = Code("VAT_SAT", "99RADNODE", "Ratio of visceral to subcutaneous fat area")
UNITY = Code("1", "UCUM", "no units")

METHOD = (
    "Body composition is by Hounsfield units (muscle -29 to 150, fat -190 to -30) and geometry on one slice, without "
    "trained weights. Bowel or vessels against the muscles may be counted as muscle; fat within the muscles is counted "
    "as neither. Contrast medium raises the density of muscle."
)
LARGEST_PIXEL_MM = 4.0
_TRIED_MM = 20.0
# An axial slice is tilted against the patient's axis by less than this.
_AXIAL = np.cos(np.deg2rad(15))
_SHOWN = {
    "skeletal-muscle": ("Skeletal muscle", SKELETAL_MUSCLE, (200, 70, 60)),
    "subcutaneous-fat": ("Subcutaneous fat", SUBCUTANEOUS, (240, 215, 90)),
    "visceral-fat": ("Visceral fat", VISCERAL, (90, 190, 90)),
}


def is_axial(volume: Volume, orientation: Orientation) -> bool:
    """Whether its slices are axial ones."""
    normal = volume.affine[:3, 0] / np.linalg.norm(volume.affine[:3, 0])
    return orientation.axes[0] == 0 and abs(float(normal[2])) >= _AXIAL


def compose(
    volume: Volume, orientation: Orientation, level: Level, organs: NDArray[np.bool_] | None = None
) -> tuple[list[Segment], list[Measurement], list[str]]:
    """Segments on the slice nearest to a level through a vertebral body, their measurements and remarks.

    organs: where a model saw organs, on the volume's grid. A slice beside a disc gives way to the nearest one beside a
    vertebra, up to 2 cm away.
    """
    if max(volume.spacing_mm[1:]) > LARGEST_PIXEL_MM:
        return [], [], [f"Body composition was not measured: pixels are larger than {LARGEST_PIXEL_MM} mm, and the "
                        "skin is not told from muscle."]
    places = _places(volume, level.z)
    found = None
    for place in places:
        hu, valid = (orientation.view(each)[_canonical(volume, orientation, place)] for each in
                     (volume.voxels, volume.valid))
        beside = None if organs is None else orientation.view(organs)[_canonical(volume, orientation, place)]
        spacing = np.linalg.norm(orientation.affine(volume)[:3, 1:3], axis=0)
        parted = tissues(hu, valid, (float(spacing[0]), float(spacing[1])), beside)
        if found is None or parted.muscle is not None:
            found = place, parted
        if parted.muscle is not None:
            break
    if found is None:
        return [], [], ["Body composition was not measured: its level is outside the images."]
    place, parted = found
    z = float(volume.affine[2, 3] + volume.affine[2, 0] * place)
    where = f"{level.name}, slice {place + 1} of {len(volume.frames)}"
    said = [f"Body composition: {where} (z {z:.1f} mm).", METHOD, *([level.said] if level.said else [])]
    said += [f"{reason[0].upper()}{reason[1:]}." for reason in parted.reasons]
    segments, measurements = [], []
    masks = {"skeletal-muscle": parted.muscle, "subcutaneous-fat": parted.subcutaneous, "visceral-fat": parted.visceral}
    area_cm2 = float(np.linalg.norm(np.cross(volume.affine[:3, 1], volume.affine[:3, 2]))) / 100
    areas = {}
    for key, mask in masks.items():
        if mask is None or not mask.any():
            continue
        label, kind, rgb = _SHOWN[key]
        whole = np.zeros(volume.voxels.shape, np.bool_)
        orientation.view(whole)[_canonical(volume, orientation, place)] = mask
        segments.append(
            Segment(key=key, label=f"{label}, {level.name}", category=TISSUE, type=kind, voxels=whole, rgb=rgb))
        areas[key] = float(mask.sum()) * area_cm2
        measurements += [
            Measurement(of=key, name=AREA, value=round(areas[key], 1), unit=SQUARE_CM),
            Measurement(of=key, name=ATTENUATION, unit=HOUNSFIELD, method=MEAN,
                        value=round(float(volume.voxels[place][whole[place]].mean(dtype=np.float64)), 1)),
        ]
    if areas.get("visceral-fat") and areas.get("subcutaneous-fat"):
        measurements.append(Measurement(of="visceral-fat", name=RATIO, unit=UNITY,
                                        value=round(areas["visceral-fat"] / areas["subcutaneous-fat"], 2)))
    return segments, measurements, said


def _places(volume: Volume, z: float) -> list[int]:
    """Slices near a level, the nearest first."""
    at = volume.affine[2, 3] + volume.affine[2, 0] * np.arange(len(volume.frames))
    away = np.abs(at - z)
    step = abs(float(volume.affine[2, 0]))
    return [int(place) for place in np.argsort(away, kind="stable") if away[place] <= max(_TRIED_MM, step)]


def _canonical(volume: Volume, orientation: Orientation, place: int) -> int:
    """The canonical plane of a slice."""
    return len(volume.frames) - 1 - place if orientation.flipped[0] else place
