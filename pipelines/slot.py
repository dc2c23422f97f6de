"""A label map from a slot: what a pipeline has in common that a model of the store segments for.

The manifest names the slot (`slots: [labels]`); the model that was added to the store as NAME-labels fills it
(:mod:`radnode.pipelines.registry`). The pipeline keeps all around the model: what is read, checked, measured and said.
Where the slot is empty, its baseline without weights runs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from radnode.pipelines.contract import DevicePipeline, RunFailed
from radnode.pipelines.ladder import Rung

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from radnode.pipelines.contract import RunContext, SlotModel, StudyImages
    from radnode.pipelines.findings import Findings

LABELS = "labels"


class WithLabels:
    """A pipeline with the slot `labels`: its model is loaded, and steps down when memory is short, as if alone."""

    def __init__(self, models: Mapping[str, SlotModel] | None = None) -> None:
        self.model = (models or {}).get(LABELS)

    def load(self, device: str) -> None:
        """Bring the model's network onto the device; of a baseline there is none. Raises as the model does."""
        if self.model is not None and isinstance(self.model.pipeline, DevicePipeline):
            self.model.pipeline.load(device)

    def rungs(self, device: str) -> Sequence[Rung]:
        """The ways to run the model; a baseline has one."""
        if self.model is not None and isinstance(self.model.pipeline, DevicePipeline):
            return self.model.pipeline.rungs(device)
        return (Rung(),)


def segmented(model: SlotModel, images: StudyImages, context: RunContext) -> Findings:
    """The model's segments of the volume, with a remark that names it.

    Raises RunFailed for a model of other images, and for an answer that is no segmentation.
    """
    said = model.manifest
    if (said.modality, said.reads, said.of_study) != (images.modality, "volume", False):
        raise RunFailed(f"the model {said.name} in the slot does not read one series of {images.modality} slices; "
                        f"`radnode models remove {said.name}`, and add one that does")
    found = model.pipeline.run(images, context)
    if found.detections or found.classifications or found.maps or found.derived is not None:
        raise RunFailed(f"the model {said.name} in the slot answers with something else than a segmentation; "
                        f"`radnode models remove {said.name}`, and add one that segments")
    named = f"Segmented by the model {said.name} {said.version} (SHA-256 {said.model_digest[:12]})."
    return replace(found, remarks=(named, *found.remarks))
