"""The sentences a radiologist must read with the volumes: limits of the models that this study touches."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines.acquisition import number
from radnode.pipelines.geometry import orientation_of
from radnode.pipelines.sources.content import named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from radnode.pipelines.contract import StudyImages
    from radnode.pipelines.geometry import Volume

METHOD = "Volumes are counted voxels of what the models segmented; the models were not validated at this site."
NO_MODEL = ("no model is in the slots of this pipeline; add one (`radnode models add ... --name mr-brain-structures` "
            "or `mr-brain-tumour`)")

# Networks for structures are trained on 1 mm; a slice of 3 mm holds two layers of the 2.5 mm thick cortex.
_COARSE_MM, _ANISOTROPY = 2.5, 2.0
_GAP = 1.1
_OBLIQUE_DEGREES = 20.0
_ADULT_YEARS = 18
_CUT_MM2 = 150.0
# White matter has one intensity; coils and bias fields make it several.
UNEVEN = 1.3
_BORDERS = (("lower", "upper"), ("front", "back"), ("right", "left"))


def on_the_images(images: StudyImages) -> list[str]:
    """Spacing, gaps, obliqueness, age, contrast medium and a removed face."""
    return [*_on_the_grid(images.volume, images.acquisition), *_on_the_patient(images.acquisition),
            *_on_contrast(images)]


def on_lack(slot: str, model: str, lacking: Mapping[str, str], wanted: Sequence[str]) -> str:
    """Why a model was not run; empty if it has all that it reads."""
    missing = [f"{name}: {lacking.get(name, 'it was not asked for')}" for name in wanted]
    return "" if not missing else (
        f"Not looked for, {slot}: {model} reads images that this study lacks ({'; '.join(missing)}). That is no "
        f"statement about the presence of a {slot}.")


def on_cut(mask: NDArray[np.bool_], volume: Volume) -> list[str]:
    """Which borders of the images cut off what was segmented."""
    orientation = orientation_of(volume.affine)
    seen, found = orientation.view(mask), []
    for axis, names in enumerate(_BORDERS):
        area = volume.voxel_volume_mm3 / volume.spacing_mm[orientation.axes[axis]]
        planes = zip(names, (np.take(seen, 0, axis), np.take(seen, -1, axis)), strict=True)
        found += [name for name, plane in planes if float(plane.sum()) * area >= _CUT_MM2]
    return [f"The brain is cut off at the {' and the '.join(found)} border of the images: the volumes are lower bounds."
            ] if found else []


def on_shading(volume: Volume, white_matter: NDArray[np.bool_]) -> list[str]:
    """How uneven the white matter is: the largest median of its eight octants over the smallest."""
    index = np.argwhere(white_matter)
    if len(index) < 1000:
        return []
    octants = (index > np.median(index, axis=0)) @ np.array([4, 2, 1])
    values = volume.voxels[white_matter]
    medians = [float(np.median(values[octants == each])) for each in np.unique(octants)]
    ratio = max(medians) / min(medians) if min(medians) > 0 else np.inf
    return [] if ratio < UNEVEN else [
        f"The white matter is {ratio:.1f} times as bright in one part of the images as in another (bias field); it was "
        "not corrected, and borders of structures may be displaced."]


def _on_the_grid(volume: Volume, acquisition: Mapping[str, str]) -> list[str]:
    spacing, found = volume.spacing_mm, []
    if max(spacing) > _COARSE_MM or max(spacing) > _ANISOTROPY * min(spacing):
        of = " x ".join(f"{each:.2g}" for each in spacing)
        found.append(f"The voxels of the T1 series measure {of} mm; volumes of small structures are uncertain "
                     "(about 1 mm in each direction is wanted).")
    thickness = number(acquisition.get("SliceThickness"))
    if thickness and spacing[0] > thickness * _GAP:
        found.append(f"Between the slices there are gaps of {spacing[0] - thickness:.1f} mm that were not imaged.")
    directions = np.abs(volume.affine[:3, :3] / np.array(spacing))
    angle = float(np.rad2deg(np.arccos(min(1.0, float(directions.max(axis=0).min())))))
    if angle > _OBLIQUE_DEGREES:
        found.append(f"The images are oblique by {angle:.0f} degrees to the patient's axes; the models see them as "
                     "they lie.")
    return found


def _on_the_patient(acquisition: Mapping[str, str]) -> list[str]:
    found = []
    age = re.fullmatch(r"(\d{3})([DWMY])", acquisition.get("PatientAge", ""))
    if age and (age[2] != "Y" or int(age[1]) < _ADULT_YEARS):
        found.append("The patient is no adult: volumes change with age, and most models were trained on adults.")
    if acquisition.get("RecognizableVisualFeatures", "").upper() == "NO":
        found.append("The face was removed from these images; where too much was removed, brain may be missing.")
    posture = acquisition.get("PatientPosition", "")
    if posture and posture not in ("HFS", "FFS"):
        found.append("The patient was not registered as lying on the back. If that is not true, left and right are "
                     "exchanged.")
    return found


def _on_contrast(images: StudyImages) -> list[str]:
    called = next((note for note in images.notes if note.startswith("Read as t1:")), "")
    return [] if named(called).contrast == (False,) else [
        "Nothing says whether contrast medium had been given before the T1 series; it was read as one before it."]
