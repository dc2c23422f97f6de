"""The sentences a radiologist must read with the marks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def _printable(text: str) -> str:
    return re.sub(r"[^\w .+-]", " ", text)[:32].strip()
