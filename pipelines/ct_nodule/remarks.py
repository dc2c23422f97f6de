"""The sentences a radiologist must read with the nodules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radnode.pipelines.acquisition import on_posture
from radnode.pipelines.ct_nodule.measures import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from radnode.pipelines.ct_nodule.measures import Nodule

LIMITS = (
    "Masses of more than 30 mm, nodules at the hilum, in airways and outside of the air-filled lungs are not looked "
    "for. No lobes are named."
)
_WORDS = {Kind.UNKNOWN: "kind unknown"}


def operating_point(certainty: float, found: int, smallest_mm: float) -> str:
    """What was reported of what was seen. found: how many."""
    said = "No nodule was found" if not found else f"{found} nodule{'s' if found > 1 else ''} found"
    return (f"{said}: marks with a certainty of {certainty:.0%} or more and a mean diameter of {smallest_mm:g} mm or "
            "more. A certainty is the share of such marks that are nodules where this was measured; it says nothing of "
            "cancer.")


def on_nodule(name: str, nodule: Nodule, side: str, third: str | None, certainty: float) -> str:
    """One nodule in words; the mean diameter in whole millimetres, as the Fleischner Society wants it."""
    where = f"{side} lung" + (f", {third} third of its height" if third else "")
    solid = f", solid part {nodule.solid_mm:.0f} mm" if nodule.solid_mm is not None else ""
    return (f"{name}: {where}; {_WORDS.get(nodule.kind, nodule.kind.value)}{solid}; {nodule.long_mm:.1f} x "
            f"{nodule.short_mm:.1f} mm, mean diameter {nodule.mean_mm:.0f} mm (axial), {nodule.volume_mm3:.0f} mm3, "
            f"{nodule.mean_hu:.0f} HU; certainty {certainty:.0%}.")


def on_the_images(acquisition: Mapping[str, str], slice_mm: float) -> list[str]:
    """What about these images makes marks and sizes less sure."""
    said = []
    if slice_mm > 1.5:
        said.append(f"Slices are {slice_mm:.1f} mm apart: nodules below 6 mm may be missed, volumes are rough, and "
                    "kinds are told of larger nodules alone.")
    said += on_posture(acquisition)
    if acquisition.get("ContrastBolusAgent"):
        said.append("Contrast medium was given: vessels may be brighter than nodules, and densities are those with it.")
    return said
