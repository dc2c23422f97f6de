"""The pipeline: a chest in, nodules out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines.contract import NotProcessed, StudyImages
from radnode.pipelines.ct_lung import remarks as lung_remarks
from radnode.pipelines.ct_lung.lungs import segment_lungs
from radnode.pipelines.ct_lung.measures import ATTENUATION, HOUNSFIELD, LEFT, LUNG, MEAN, RIGHT, VOLUME
from radnode.pipelines.ct_lung.pipeline import refuse_other_units
from radnode.pipelines.ct_nodule import lung_rads, remarks
from radnode.pipelines.ct_nodule.field import fields
from radnode.pipelines.ct_nodule.following import followed
from radnode.pipelines.ct_nodule.marks import Baseline, OfModel
from radnode.pipelines.ct_nodule.measures import Kind, measured, on_images
from radnode.pipelines.findings import (
    Classification,
    Code,
    Detection,
    Findings,
    InPatient,
    Measurement,
    Path,
    Segment,
)
from radnode.pipelines.geometry import to_index
from radnode.pipelines.slot import WithModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from radnode.pipelines.contract import PriorImages, RunContext, SlotModel
    from radnode.pipelines.ct_lung.lungs import Lungs
    from radnode.pipelines.ct_nodule.field import Field
    from radnode.pipelines.ct_nodule.marks import Detector, Mark
    from radnode.pipelines.ct_nodule.measures import Nodule
    from radnode.pipelines.geometry import Volume

THICKEST_MM, SMALLEST_MM, LARGEST_MM = 3.0, 4.0, 30.0
MOST = 30
"""Nodules that are reported of one chest; more are counted in a remark."""

NODULE = Code("27925004", "SCT", "Nodule")
ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
LONG, SHORT = Code("103339001", "SCT", "Long axis"), Code("103340004", "SCT", "Short axis")
DIAMETER = Code("81827009", "SCT", "Diameter")
MM, MM3 = Code("mm", "UCUM", "millimeter"), Code("mm3", "UCUM", "cubic millimeter")
# PS3.16 has a code for ground glass (CID 6104) and none for the others; an unknown kind is said in words alone.
KIND = Code("NODULE-KIND", "99RADNODE", "Kind of nodule by density")
KINDS = {
    Kind.SOLID: Code("NODULE-SOLID", "99RADNODE", "Solid"),
    Kind.PART_SOLID: Code("NODULE-PART-SOLID", "99RADNODE", "Part-solid"),
    Kind.GROUND_GLASS: Code("112120", "DCM", "Ground glass opacity"),
}
_SIDES = {"left": LEFT, "right": RIGHT}
_RGB = ((255, 200, 60), (90, 200, 250), (250, 130, 180), (150, 220, 110), (200, 150, 250), (250, 150, 90))


class CtNodule(WithModel):
    """Nodules in both lungs: marks, outlines, diameters, volume, density.

    models: a detector in the slot `marks` takes the baseline's place. screening: whether the route is one of baseline
    screening; then sizes are put in words of Lung-RADS.
    """

    slot = "marks"

    def __init__(self, models: Mapping[str, SlotModel] | None = None, *, screening: bool = False) -> None:
        super().__init__(models)
        self._detector: Detector = Baseline() if self.model is None else OfModel(self.model)
        self._screening = screening

    def run(self, images: StudyImages, context: RunContext) -> Findings:
        """Find and measure. Raises NotProcessed for thick slices, values that are no Hounsfield units, and where
        there are no lungs or their sides are unclear.
        """
        volume = images.volume
        lungs, searched, found, labels, beside = self._read(images, context)
        named = [(f"nodule-{number}", f"Nodule {number}", mark, field, nodule)
                 for number, (mark, field, nodule) in enumerate(found, 1)]
        whole = lung_remarks.is_complete(lungs, volume)
        said = [
            self._detector.method, remarks.operating_point(self._detector.operating_point, len(found), SMALLEST_MM),
            *(remarks.on_nodule(label, nodule, field.side, _third(nodule, field) if whole else None, mark.certainty)
              for _, label, mark, field, nodule in named),
            *self._followed(images, searched, named, context),
            *beside, remarks.LIMITS, *lung_remarks.on_what_was_found(lungs, volume),
            *remarks.on_the_images(images.acquisition, volume.spacing_mm[0]),
        ]
        if self._screening and named:
            said += [*(lung_rads.sentence(label, nodule) for _, label, _, _, nodule in named), lung_rads.SAID_ONCE]
        return Findings(
            volume=volume,
            segments=tuple(
                Segment(key=key, label=label, category=ABNORMAL, type=NODULE, voxels=labels, value=number,
                        rgb=_RGB[(number - 1) % len(_RGB)], site=LUNG, laterality=_SIDES[field.side])
                for number, (key, label, _, field, _) in enumerate(named, 1)),
            detections=tuple(_detection(*each) for each in named),
            measurements=tuple(number for key, _, _, _, nodule in named for number in _numbers(key, nodule, volume)),
            classifications=tuple(Classification(key=f"{key}-kind", of=key, name=KIND, value=KINDS[nodule.kind])
                                  for key, _, _, _, nodule in named if nodule.kind in KINDS),
            looked_for=(NODULE,),
            remarks=tuple(said),
        )


    def _read(
        self, images: StudyImages, context: RunContext
    ) -> tuple[Lungs, Sequence[Field], Sequence[tuple[Mark, Field, Nodule]], NDArray[np.uint8], list[str]]:
        """Lungs, where nodules are looked for, nodules, their label map, what was left out. Raises NotProcessed."""
        volume = images.volume
        refuse_other_units(volume)
        _refuse_thick_slices(volume, images.acquisition.get("SliceThickness", ""))
        lungs = segment_lungs(volume, context.device, context.stage)
        if lungs.left is None and lungs.right is None:
            raise NotProcessed("no air-filled lung of at least 80 ml was found, so nodules cannot be looked for; a "
                               "chest CT with both lungs is needed")
        searched = fields(volume, lungs, context.device)
        marks = self._detector(images, searched, context)
        context.stage("measuring")
        shown = [each for each in marks if each.certainty >= self._detector.operating_point]
        return (lungs, searched, *_measured(volume, searched, shown, context.device))

    def _followed(
        self, images: StudyImages, searched: Sequence[Field],
        named: Sequence[tuple[str, str, Mark, Field, Nodule]], context: RunContext,
    ) -> list[str]:
        def read(prior: PriorImages) -> tuple[Sequence[Field], list[tuple[Field, Nodule]]]:
            earlier = StudyImages(volume=prior.volume, modality=images.modality, excluded={},
                                  acquisition=prior.acquisition)
            _, fields_then, nodules, _, _ = self._read(earlier, context)
            return fields_then, [(field, nodule) for _, field, nodule in nodules]

        return followed(images, searched, {label: (field, nodule) for _, label, _, field, nodule in named}, read)


def baseline_screening(models: Mapping[str, SlotModel] | None = None) -> CtNodule:
    """For a route of baseline screening (`ct-nodule-screening`)."""
    return CtNodule(models, screening=True)


def _refuse_thick_slices(volume: Volume, thickness: str) -> None:
    try:
        stated = float(thickness or 0)
    except ValueError:
        stated = 0.0
    thickest = max(stated, volume.spacing_mm[0])
    if thickest > THICKEST_MM + 0.05:
        raise NotProcessed(f"slices of {thickest:.1f} mm; nodules are looked for on slices of at most "
                           f"{THICKEST_MM:g} mm: send the thin reconstruction")


def _measured(
    volume: Volume, searched: Sequence[Field], marks: Sequence[Mark], device: str
) -> tuple[list[tuple[Mark, Field, Nodule]], NDArray[np.uint8], list[str]]:
    """The nodules at marks in the lungs, a label map with their numbers, and what was left out, in words."""
    labels = np.zeros(volume.voxels.shape, np.uint8)
    found: list[tuple[Mark, Field, Nodule]] = []
    outside = unclear = more = 0
    too_large: list[str] = []
    for mark in marks:
        field = next((each for each in searched if each.holds(mark.center_lps)), None)
        if field is None:
            outside += 1
            continue
        if len(found) == MOST:
            more += 1
            continue
        nodule = measured(volume, field, mark, device)
        if nodule is None:
            unclear += 1
            continue
        if nodule.mean_mm > LARGEST_MM:
            too_large.append(field.side)
            continue
        box, mask = on_images(nodule, volume)
        new = mask & (labels[box] == 0)
        if nodule.mean_mm < SMALLEST_MM or new.sum() < 0.7 * mask.sum():
            continue
        found.append((mark, field, nodule))
        labels[box][new] = len(found)
    said = []
    if outside:
        said.append(f"{outside} marks of the detector lie outside of the lungs that were found, and are not shown.")
    if unclear:
        said.append(f"{unclear} marks of the detector have no outline, and are not shown.")
    said += [f"A mark in the {side} lung has an outline of more than {LARGEST_MM:g} mm: a mass is not measured and not "
             "shown." for side in dict.fromkeys(too_large)]
    if more:
        said.append(f"{more} further marks are not shown: {MOST} are the most that are reported.")
    return found, labels, said


def _third(nodule: Nodule, field: Field) -> str:
    """Of the height of this lung, from its lowest to its highest point."""
    planes = np.flatnonzero(field.inside.any(axis=(1, 2)))
    place = (field.grid.index(np.array([nodule.center_lps]))[0, 0] - planes[0]) / max(int(planes[-1] - planes[0]), 1)
    return "lower" if place < 1 / 3 else "middle" if place < 2 / 3 else "upper"


def _detection(key: str, label: str, mark: Mark, field: Field, nodule: Nodule) -> Detection:
    places = nodule.grid.points(np.argwhere(nodule.mask).astype(np.float64))
    low, high = places.min(0) - nodule.grid.mm / 2, places.max(0) + nodule.grid.mm / 2
    x, y, z = (float(each) for each in (low + high) / 2)
    along, back, up = (float(each) for each in high - low)
    return Detection(key=f"{key}-mark", label=f"{label}, {field.side} lung", type=NODULE, certainty=mark.certainty,
                     at=InPatient(center_lps=(x, y, z), extent_mm=(along, back, up)), site=LUNG,
                     laterality=_SIDES[field.side])


def _numbers(key: str, nodule: Nodule, volume: Volume) -> list[Measurement]:
    return [
        Measurement(of=key, name=LONG, value=round(nodule.long_mm, 1), unit=MM, path=_path(nodule, volume)),
        Measurement(of=key, name=SHORT, value=round(nodule.short_mm, 1), unit=MM),
        Measurement(of=key, name=DIAMETER, value=round(nodule.mean_mm, 1), unit=MM, method=MEAN),
        Measurement(of=key, name=VOLUME, value=round(nodule.volume_mm3, 1), unit=MM3),
        Measurement(of=key, name=ATTENUATION, value=round(nodule.mean_hu, 1), unit=HOUNSFIELD, method=MEAN),
    ]


def _path(nodule: Nodule, volume: Volume) -> Path | None:
    """The longest diameter on the slice nearest to it; None where slices are not axial."""
    normal = volume.affine[:3, 0] / np.linalg.norm(volume.affine[:3, 0])
    if abs(normal[2]) < 0.999:
        return None
    index = to_index(volume.affine, nodule.ends_lps)
    frame = volume.frames[int(np.clip(np.rint(index[:, 0].mean()), 0, len(volume.frames) - 1))]
    return Path(sop_instance_uid=frame.sop_instance_uid, frame_number=frame.frame_number,
                points=index[:, [2, 1]] + 0.5)
