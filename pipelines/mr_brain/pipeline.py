"""The pipeline: the series of a head in, structures and tumour regions with their volumes out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines.contract import NotProcessed
from radnode.pipelines.ct_lung.measures import MILLILITRE, VOLUME
from radnode.pipelines.findings import Code, Failure, Findings, Measurement
from radnode.pipelines.mr_brain import anatomy, remarks
from radnode.pipelines.slot import WithModels, segmented

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radnode.pipelines.contract import RunContext, SlotModel, StudyImages
    from radnode.pipelines.findings import Segment
    from radnode.pipelines.geometry import Volume

STRUCTURES, TUMOUR = "structures", "tumour"
_LOOKED_FOR = {STRUCTURES: Code("12738006", "SCT", "Brain"), TUMOUR: Code("108369006", "SCT", "Neoplasm")}
# Body Part Examined (PS3.16 CID 4031) of a head, in the words that scanners write.
_HEAD = ("HEAD", "BRAIN", "SKULL", "CRANI", "NEURO", "PITUITARY", "WHOLEBODY", "SCHAEDEL", "KOPF", "TETE", "CABEZA")


class MrBrain(WithModels):
    """What the models in the slots `structures` and `tumour` segment, checked against anatomy and measured.

    `structures` wants a label map of one brain; regions of `tumour` may overlap (whole tumour, core, enhancing part).
    """

    def run(self, images: StudyImages, context: RunContext) -> Findings:
        """Segment and measure, on the grid of the T1 series.

        Raises NotProcessed for what is no head or lies as none does, and where no model could be asked; RunFailed for a
        model that does not fit its slot.
        """
        _refuse_other_parts(images)
        if not self.models:
            raise NotProcessed(remarks.NO_MODEL)
        volume, said = images.volume, [remarks.METHOD]
        structures: tuple[Segment, ...] = ()
        tumour: tuple[Segment, ...] = ()
        failures: list[Failure] = []
        for slot, model in self.models.items():
            if lack := remarks.on_lack(slot, model.manifest.title, images.lacking, _missing(model, images)):
                failures.append(Failure(what=_LOOKED_FOR[slot], reason=lack))
                continue
            found = segmented(model, _as_asked(model, images), context)
            context.stage("measuring")
            said += found.remarks
            if slot == STRUCTURES:
                structures, more = anatomy.checked(found.segments, volume)
                said += [*more, *_on_structures(structures, volume)]
            else:
                tumour = tuple(replace(each, key=f"tumour-{each.key}") for each in found.segments)
                said += _on_tumour(tumour, volume)
        if len(failures) == len(self.models):
            raise NotProcessed(" ".join(each.reason for each in failures))
        segments = (*structures, *tumour)
        return Findings(
            volume=volume, segments=segments, failures=tuple(failures),
            measurements=tuple(_volume_of(each, volume) for each in segments),
            looked_for=tuple(_LOOKED_FOR[slot] for slot in self.models),
            remarks=(*said, *remarks.on_the_images(images)),
        )


def _refuse_other_parts(images: StudyImages) -> None:
    part = images.acquisition.get("BodyPartExamined", "").upper().replace(" ", "")
    if part and not any(word in part for word in _HEAD):
        raise NotProcessed("Body Part Examined says that these images show no head; if it is wrong, correct it at the "
                           "scanner")


def _by_content(images: StudyImages) -> dict[str, Volume]:
    """Content -> image: the registry names what models ask for after what it shows."""
    return {"t1": images.volume, **images.others}


def _missing(model: SlotModel, images: StudyImages) -> list[str]:
    here = _by_content(images)
    return [name for each in model.manifest.inputs if (name := each.content.value.lower()) not in here]


def _as_asked(model: SlotModel, images: StudyImages) -> StudyImages:
    """The images under the model's own names, its reference first; a model of one series gets T1."""
    here = _by_content(images)
    first, *rest = [(each.name, here[each.content.value.lower()]) for each in model.manifest.inputs] or [
        ("t1", images.volume)]
    return replace(images, volume=first[1], others=dict(rest), lacking={})


def _volume_of(segment: Segment, volume: Volume) -> Measurement:
    ml = float(np.count_nonzero(segment.mask)) * volume.voxel_volume_mm3 / 1000
    return Measurement(of=segment.key, name=VOLUME, value=round(ml, 2), unit=MILLILITRE)


def _on_structures(structures: Sequence[Segment], volume: Volume) -> list[str]:
    labels = structures[0].voxels
    white = [each.mask for each in structures if each.type.value == "68523003"]
    return [*remarks.on_cut(labels > 0, volume), *(remarks.on_shading(volume, white[0]) if white else [])]


def _on_tumour(regions: Sequence[Segment], volume: Volume) -> list[str]:
    if not regions:
        return ["The model in the slot tumour found none. That does not exclude one."]
    whole = np.logical_or.reduce([each.mask for each in regions])
    return remarks.on_cut(whole, volume)
