"""The pipeline: a planning CT in, the structures of a protocol out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from radnode.pipelines.contract import NotProcessed
from radnode.pipelines.ct_lung.lungs import segment_lungs
from radnode.pipelines.ct_lung.measures import ANATOMY, LEFT, LUNG, RIGHT
from radnode.pipelines.ct_lung.pipeline import refuse_other_units
from radnode.pipelines.ct_organs.volumes import measured
from radnode.pipelines.findings import Code, Findings, Segment
from radnode.pipelines.geometry import orientation_of
from radnode.pipelines.rt_oar import outline, planning
from radnode.pipelines.rt_oar.protocol import Protocol, drawn, missing, read
from radnode.pipelines.slot import WithLabels, segmented

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from radnode.pipelines.contract import RunContext, SlotModel, StudyImages
    from radnode.pipelines.geometry import Volume

EXTERNAL = Code("38266002", "SCT", "Entire body")
BONE = Code("3138006", "SCT", "Bone")
BY_THRESHOLDS = (
    "Outline of the body, lungs and bone are by Hounsfield units, without trained weights: air-filled lung and dense "
    "bone alone. Immobilisation that touches the skin may be inside the outline."
)
BODY_BY_THRESHOLDS = (
    "The outline of the body is by Hounsfield units, without trained weights. Immobilisation that touches the skin may "
    "be inside it."
)
_LUNGS = (("Lung_L", LEFT, (90, 160, 220)), ("Lung_R", RIGHT, (230, 150, 80)))


class RtOar(WithLabels):
    """The structures of one protocol."""

    def __init__(self, protocol: Protocol, models: Mapping[str, SlotModel] | None = None) -> None:
        super().__init__(models)
        self._protocol = protocol

    def run(self, images: StudyImages, context: RunContext) -> Findings:
        """Draw. Raises NotProcessed for what is no planning CT, RunFailed for a model that exchanges left and right."""
        volume = images.volume
        planning.refuse_other_slices(volume, images.acquisition)
        refuse_other_units(volume)
        context.stage("outlining the body")
        body = outline.body(volume, orientation_of(volume.affine), context.device)
        if not body.any():
            raise NotProcessed("no body was found in the images")
        planning.refuse_cut_body(volume, body)
        external = _segment("External", EXTERNAL, body, (120, 220, 120))
        said = [BODY_BY_THRESHOLDS if self.model else BY_THRESHOLDS]
        if self.model is not None:
            found = segmented(self.model, images, context)
            organs, others = drawn(self._protocol, found.segments)
            said += [*found.remarks, *_on_others(others, self._protocol)]
        else:
            organs = _by_thresholds(volume, body, self._protocol, context)
        context.stage("measuring")
        counted = measured([external, *organs], volume)
        failures = missing(self._protocol, organs)
        said = [*(each.reason for each in failures), *said, *counted.remarks, *planning.remarks(images.acquisition)]
        return Findings(
            volume=volume, segments=(external, *organs), measurements=counted.measurements, failures=failures,
            remarks=tuple(said),
        )


def head_neck(models: Mapping[str, SlotModel]) -> RtOar:
    """The pipeline rt-oar-head-neck."""
    return RtOar(_protocol("head_neck"), models)


def thorax(models: Mapping[str, SlotModel]) -> RtOar:
    """The pipeline rt-oar-thorax."""
    return RtOar(_protocol("thorax"), models)


def pelvis(models: Mapping[str, SlotModel]) -> RtOar:
    """The pipeline rt-oar-pelvis."""
    return RtOar(_protocol("pelvis"), models)


def _protocol(folder: str) -> Protocol:
    return read(Path(__file__).with_name(folder) / "protocol.yaml")


def _segment(
    name: str, kind: Code, mask: NDArray[np.bool_], rgb: tuple[int, int, int], side: Code | None = None
) -> Segment:
    return Segment(key=name.lower().replace("_", "-"), label=name, category=ANATOMY, type=kind, voxels=mask, rgb=rgb,
                   laterality=side)


def _by_thresholds(
    volume: Volume, body: NDArray[np.bool_], protocol: Protocol, context: RunContext
) -> list[Segment]:
    """Bone, and the lungs where the protocol wants them."""
    organs = []
    if {"Lung_L", "Lung_R"} & {each.name for each in protocol.structures}:
        lungs = segment_lungs(volume, context.device, context.stage)
        masks = (lungs.left, lungs.right)
        organs += [_segment(name, LUNG, mask, rgb, side) for (name, side, rgb), mask in zip(_LUNGS, masks, strict=True)
                   if mask is not None]
    context.stage("looking for bone")
    bone = outline.bones(volume, body)
    return [*organs, _segment("Bone", BONE, bone, (240, 230, 200))] if bone.any() else organs


def _on_others(labels: list[str], protocol: Protocol) -> list[str]:
    if not labels:
        return []
    named = ", ".join(labels[:10]) + (f" and {len(labels) - 10} more" if len(labels) > 10 else "")
    return [f"Segmented and not drawn, for the protocol {protocol.title} does not want it: {named}."]
