"""The pipeline: images in; organs, and the tissues of one slice through the abdomen, out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines.ct_lung.body import inside_body
from radnode.pipelines.ct_lung.grids import coarsen
from radnode.pipelines.ct_lung.measures import ANATOMY
from radnode.pipelines.ct_lung.pipeline import refuse_other_units
from radnode.pipelines.ct_organs import level
from radnode.pipelines.ct_organs.composition import SKELETAL_MUSCLE, compose, is_axial
from radnode.pipelines.ct_organs.volumes import Measured, measured
from radnode.pipelines.findings import Findings, Measurement, Segment
from radnode.pipelines.geometry import orientation_of
from radnode.pipelines.slot import WithLabels, segmented

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from radnode.pipelines.contract import RunContext, StudyImages
    from radnode.pipelines.geometry import Volume

NO_MODEL = "No organs were segmented: no model is in the slot of this pipeline (ct-organs-labels in the model store)."
NOT_AXIAL = "Body composition was not measured: the slices are not axial."
NO_ABDOMEN = "Body composition was not measured: neither L3 nor the iliac crests nor an abdomen was recognised."


class CtOrgans(WithLabels):
    """Volumes of the organs that a model segments, and body composition on one slice."""

    def run(self, images: StudyImages, context: RunContext) -> Findings:
        """Segment and measure. Raises NotProcessed for images that are not in Hounsfield units, RunFailed for a model
        that exchanges the patient's sides.
        """
        volume = images.volume
        refuse_other_units(volume)
        organs: tuple[Segment, ...] = ()
        numbers: tuple[Measurement, ...] = ()
        said: list[str] = [NO_MODEL]
        counted: Measured | None = None
        if self.model is not None:
            found = segmented(self.model, images, context)
            context.stage("measuring the organs")
            counted, organs = measured(found.segments, volume), found.segments
            numbers, said = counted.measurements, [*found.remarks, *counted.remarks]
        context.stage("body composition")
        parted, areas, remarks = _composition(volume, context.device, organs, counted)
        return Findings(
            volume=volume, segments=(*organs, *parted), measurements=(*numbers, *areas), remarks=(*said, *remarks)
        )


def _composition(
    volume: Volume, device: str, organs: Sequence[Segment], counted: Measured | None
) -> tuple[list[Segment], list[Measurement], list[str]]:
    orientation = orientation_of(volume.affine)
    if not is_axial(volume, orientation):
        return [], [], [NOT_AXIAL]
    where = None
    if counted is not None:
        whole = [each for each in organs if each.key not in counted.cut]
        where = level.of_vertebra({each.type: float(counted.centres[each.key][2]) for each in whole})
    if where is None:
        coarse = coarsen(volume, orientation, device)
        inside = inside_body(coarse.hu)
        where = (level.of_crests(coarse, inside) or level.in_the_middle(coarse, inside)) if inside.any() else None
    if where is None:
        return [], [], [NO_ABDOMEN]
    return compose(volume, orientation, where, _neither(organs, volume))


def _neither(organs: Sequence[Segment], volume: Volume) -> NDArray[np.bool_] | None:
    """Where a model saw what is neither muscle nor fat: organs, vessels and bones."""
    kept = [each for each in organs if each.category == ANATOMY and each.type != SKELETAL_MUSCLE]
    if not kept:
        return None
    seen = np.zeros(volume.voxels.shape, np.bool_)
    for voxels in {id(each.voxels): each.voxels for each in kept}.values():
        values = [each.value for each in kept if each.voxels is voxels]
        seen |= np.isin(voxels, values)
    return seen
