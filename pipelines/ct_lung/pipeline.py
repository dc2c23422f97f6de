"""The pipeline: images in, findings out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines.contract import NotProcessed
from radnode.pipelines.ct_lung import remarks
from radnode.pipelines.ct_lung.lungs import segment_lungs
from radnode.pipelines.ct_lung.measures import ANATOMY, LEFT, LUNG, RIGHT, coded, measure
from radnode.pipelines.findings import Findings, Segment

if TYPE_CHECKING:
    from radnode.pipelines.contract import RunContext, StudyImages
    from radnode.pipelines.geometry import Volume

METHOD = (
    "Automatic segmentation by thresholds: air-filled lung only; consolidation, large tumours and effusion "
    "are not included. Depth of inspiration was not checked."
)
NOTHING_FOUND = (
    "No air-filled lung of at least 80 ml was found in these images. That is no statement about the lungs' health."
)
_SHOWN = {"left": ("Left lung", LEFT, (90, 160, 220)), "right": ("Right lung", RIGHT, (230, 150, 80))}


class CtLung:
    """Left and right lung: volume, mean density, emphysema index."""

    def run(self, images: StudyImages, context: RunContext) -> Findings:
        """Segment and measure. Raises NotProcessed for images that are not in Hounsfield units or whose
        sides are unclear.
        """
        volume = images.volume
        refuse_other_units(volume)
        lungs = segment_lungs(volume, context.device, context.stage)
        masks = {side: mask for side, mask in (("left", lungs.left), ("right", lungs.right)) if mask is not None}
        if not masks:
            return Findings(volume=volume, segments=(), measurements=(), remarks=(NOTHING_FOUND,))
        context.stage("measuring")
        measures = {side: measure(volume, mask) for side, mask in masks.items()}
        said = [METHOD, *remarks.on_what_was_found(lungs, volume)]
        said += remarks.on_the_numbers(measures, remarks.is_complete(lungs, volume))
        said += remarks.on_the_images(images.acquisition, volume.spacing_mm[0])
        return Findings(
            volume=volume,
            segments=tuple(_segment(side, mask) for side, mask in masks.items()),
            measurements=tuple(each for side, found in measures.items() for each in coded(f"{side}-lung", found)),
            remarks=tuple(said),
        )


def _segment(side: str, mask: np.typing.NDArray[np.bool_]) -> Segment:
    label, laterality, rgb = _SHOWN[side]
    return Segment(
        key=f"{side}-lung",
        label=label,
        category=ANATOMY,
        type=LUNG,
        voxels=mask,
        rgb=rgb,
        laterality=laterality,
    )


def refuse_other_units(volume: Volume) -> None:
    """A body in Hounsfield units has much of its tissue between fat and muscle. Raises NotProcessed."""
    sample = volume.voxels[::2, ::4, ::4][volume.valid[::2, ::4, ::4]]
    if sample.size == 0 or float(sample.max()) - float(sample.min()) < 100:
        raise NotProcessed("the images are empty: all their values are nearly the same")
    if float((sample < -300).mean()) < 1e-3:
        raise NotProcessed(
            "there is no air in the images: the field of view lies inside the body, or the values are not in "
            "Hounsfield units"
        )
    dense = sample[sample > -300]
    if dense.size < 0.01 * sample.size or not -150 <= float(np.median(dense)) <= 250:
        raise NotProcessed("the values do not look like Hounsfield units of a patient: no soft tissue at 0 to 100")
