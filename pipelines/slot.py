"""Segments from a slot: what pipelines have in common that models of the store segment for.

The manifest names the slots (`slots: [labels]`); the model that was added to the store as NAME-labels fills that one
(:mod:`radnode.pipelines.registry`). The pipeline keeps all around the model: what is read, checked, measured and said.
Where the slot is empty, its baseline without weights runs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from radnode.pipelines.contract import DevicePipeline, RunFailed
from radnode.pipelines.ladder import Rung

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from radnode.pipelines.contract import RunContext, SlotModel, StudyImages
    from radnode.pipelines.findings import Findings

LABELS = "labels"


class WithModels:
    """A pipeline with slots: their models are loaded, and step down when memory is short, as if alone."""

    def __init__(self, models: Mapping[str, SlotModel] | None = None) -> None:
        self.models = dict(models or {})

    def load(self, device: str) -> None:
        """Bring the models' networks onto the device; of a baseline there is none. Raises as a model does."""
        for each in self._on_device():
            each.load(device)

    def rungs(self, device: str) -> Sequence[Rung]:
        """The ways to run the model that has the most; a baseline has one."""
        return max((each.rungs(device) for each in self._on_device()), key=len, default=(Rung(),))

    def _on_device(self) -> list[DevicePipeline]:
        return [each.pipeline for each in self.models.values() if isinstance(each.pipeline, DevicePipeline)]


class WithModel(WithModels):
    """A pipeline with one slot."""

    slot: ClassVar[str]

    @property
    def model(self) -> SlotModel | None:
        """What is in it."""
        return self.models.get(self.slot)


class WithLabels(WithModel):
    """A pipeline with the slot `labels`."""

    slot = LABELS


def segmented(model: SlotModel, images: StudyImages, context: RunContext) -> Findings:
    """The model's segments of the volume, with a remark that names it.

    images: of a model that reads several, those that it reads, by its own names. Raises RunFailed for a model of other
    images, and for an answer that is no segmentation.
    """
    said = model.manifest
    if (said.modality, said.reads) != (images.modality, "volume") or max(len(said.inputs), 1) != 1 + len(images.others):
        count = 1 + len(images.others)
        wanted = "one series" if count == 1 else f"{count} series"
        raise RunFailed(f"the model {said.name} in the slot does not read {wanted} of {images.modality} slices; "
                        f"`radnode models remove {said.name}`, and add one that does")
    found = model.pipeline.run(images, context)
    if found.detections or found.classifications or found.maps or found.derived is not None:
        raise RunFailed(f"the model {said.name} in the slot answers with something else than a segmentation; "
                        f"`radnode models remove {said.name}`, and add one that segments")
    named = f"Segmented by the model {said.name} {said.version} (SHA-256 {said.model_digest[:12]})."
    return replace(found, remarks=(named, *found.remarks))
