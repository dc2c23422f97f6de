"""The sentences a radiologist must read with the marks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from radnode.pipelines.mg_cad.comparison import SMALLEST_MM2

if TYPE_CHECKING:
    from collections.abc import Mapping

    from radnode.pipelines.mg_cad.comparison import Compared

_SIDE = {"R": "right", "L": "left"}
# So near to the height of the nipple a half of the breast is not named.
_LINE_MM = 10.0

METHOD = (
    "Marks of a research baseline without trained weights: bright spots in groups and compact bright regions. It was "
    "measured on synthetic mammograms only. A place without a mark was not shown to be normal."
)
# Devices on whose images the figures of README.md were measured.
MEASURED_ON = {("Phantom", "Mammography phantom")}


def operating_point(certainty: float) -> str:
    """What is shown, and what only on request."""
    return f"Marks with a certainty of {certainty:.0%} or more are to be shown; less certain ones are optional."


def on_the_device(acquisition: Mapping[str, str]) -> list[str]:
    """Whether the images are of a device that this was measured on. acquisition: as in StudyImages."""
    device = acquisition.get("Manufacturer", ""), acquisition.get("ManufacturerModelName", "")
    said = []
    if device not in MEASURED_ON:
        name = " ".join(_printable(each) for each in device if each) or "not named, or several"
        said.append(f"Outside the validated range: this was never measured on images of the device ({name}).")
    if acquisition.get("DetectorType") == "STORAGE":
        said.append("Outside the validated range: the images are of storage phosphor plates (CR).")
    return said


def on_orientation(without: int) -> list[str]:
    """without: how many images have no Patient Orientation."""
    return [f"{without} images have no Patient Orientation: that the breast lies as its tags say could not be checked."
            ] if without else []


def on_density(letter: str, share: float) -> str:
    """The estimate and its doubt."""
    return (f"Breast density: about {share:.0%} of the area, category {letter}. Estimated from grey values that were "
            "processed for display: it is no measurement, and a neighbouring category is possible.")


def on_comparison(compared: Compared) -> str:
    """Right and left in one view. Where: by what is above in the picture of that view."""
    shares = " and ".join(f"{compared.shares[side]:.0%} of the {_SIDE[side]}" for side in "RL")
    region = compared.region
    if region is None:
        where = f"No area of {SMALLEST_MM2 / 100:.0f} cm2 or more is clearly denser on one side."
    else:
        halves = ("lateral", "medial") if compared.view == "CC" else ("upper", "lower")
        half = f"in the {halves[0 if region.above_mm > 0 else 1]} half"
        where = (f"The largest area that is denser on one side lies in the {_SIDE[region.side]} breast: about "
                 f"{region.area_mm2 / 100:.0f} cm2, its middle about {round(region.behind_mm, -1):.0f} mm behind the "
                 f"nipple, {half if abs(region.above_mm) > _LINE_MM else 'at the height of the nipple'}.")
    return (f"Right and left {compared.view} compared (mirrored, scaled to each other): dense tissue covers about "
            f"{shares} breast. {where} Breasts are seldom alike; this is no mark and says nothing of disease.")


def _printable(text: str) -> str:
    return re.sub(r"[^\w .+-]", " ", text)[:32].strip()
