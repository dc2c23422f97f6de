"""What a detector says of one chest, and the place that a trained model can take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from radnode.pipelines.contract import RunFailed
from radnode.pipelines.ct_nodule.blobs import blobs
from radnode.pipelines.ct_nodule.field import SPACING_MM
from radnode.pipelines.ct_nodule.judging import probabilities
from radnode.pipelines.ct_nodule.outline import outlined
from radnode.pipelines.findings import InPatient

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from radnode.pipelines.contract import RunContext, SlotModel, StudyImages
    from radnode.pipelines.ct_nodule.blobs import Blob
    from radnode.pipelines.ct_nodule.field import Field
    from radnode.pipelines.ct_nodule.outline import Outline

_LARGER = 1.3
_NONE = 0.01
_UNSIZED_MM = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A place in the patient. center_lps, diameter_mm: millimetres, the diameter a rough one. certainty: 0 to 1."""

    center_lps: tuple[float, float, float]
    diameter_mm: float
    certainty: float


class Detector(Protocol):
    """Finds nodules in a chest CT. method: a sentence on what it is; operating_point: from which certainty on its marks
    are reported.
    """

    method: str
    operating_point: float

    def __call__(self, images: StudyImages, fields: Sequence[Field], context: RunContext) -> list[Mark]:
        """Marks by falling certainty. Raises PipelineError."""
        ...


class Baseline:
    """Blobs of several sizes, judged by a small network that was trained on chests drawn by code."""

    method = (
        "Marks of a research baseline: compact bright regions in the lungs, judged by a small network. It was trained "
        "and measured on synthetic chests only. A place without a mark was not shown to be normal."
    )
    operating_point = 0.4

    def __call__(self, images: StudyImages, fields: Sequence[Field], context: RunContext) -> list[Mark]:
        """Marks by falling certainty; those that lie in each other are one."""
        del images
        found = []
        for field in fields:
            context.stage(f"looking for nodules in the {field.side} lung")
            found += marked(field, context.device)
        found.sort(key=lambda each: -each.certainty)
        kept: list[Mark] = []
        for each in found:
            if all(_apart(each, other) for other in kept):
                kept.append(each)
        return kept


def marked(field: Field, device: str) -> list[Mark]:
    """What may be a nodule in a lung, of any certainty that is more than none."""
    seen = blobs(field, device)
    judged = zip(seen, probabilities(field, [each.index for each in seen], device), strict=True)
    likely = [(blob, certainty) for blob, certainty in judged if certainty >= _NONE]
    outlined_at = [_seen(field, blob) for blob, _ in likely]
    again = probabilities(field, [index for index, _ in outlined_at], device)
    found = []
    for (blob, certainty), (index, radius), there in zip(likely, outlined_at, again, strict=True):
        # An outline that runs along a vessel or wall has its middle beside the nodule.
        stays = there >= certainty / 2
        x, y, z = (float(each) for each in field.grid.points(np.array([index if stays else blob.index]))[0])
        found.append(Mark(center_lps=(x, y, z), diameter_mm=2 * (radius if stays else blob.radius_mm),
                          certainty=certainty))
    return found


def _seen(field: Field, blob: Blob) -> tuple[tuple[float, float, float], float]:
    """(index of the middle, radius in mm) of the outline at a blob; of the blob itself if it has none."""
    index, radius = np.array(blob.index), blob.radius_mm
    seen = _outlined(field, index, radius)
    if seen is not None and seen[1].radius_mm > _LARGER * radius:
        # The blob was a part of it: seen from its middle.
        seen = _outlined(field, seen[0], seen[1].radius_mm) or seen
    if seen is None:
        return blob.index, radius
    up, back, left = (float(each) for each in seen[0])
    return (up, back, left), seen[1].radius_mm


def _outlined(
    field: Field, index: NDArray[np.float64], radius_mm: float
) -> tuple[NDArray[np.float64], Outline] | None:
    """(index of its middle, outline) of what lies at a place of a field."""
    half = int(np.ceil((2.2 * radius_mm + 5) / SPACING_MM))
    at = np.rint(index).astype(int)
    low, high = np.maximum(at - half, 0), np.minimum(at + half + 1, field.hu.shape)
    cube = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    outline = outlined(field.hu[cube], field.inside[cube], index - low, radius_mm, SPACING_MM)
    return None if outline is None else (np.argwhere(outline.mask).mean(0) + low, outline)


def _apart(one: Mark, other: Mark) -> bool:
    distance = float(np.linalg.norm(np.subtract(one.center_lps, other.center_lps)))
    return distance > max(one.diameter_mm, other.diameter_mm) / 2


class OfModel:
    """A model of the store that fills the slot: its boxes are the marks (a detection bundle, LUNA16 and its like).

    Outlines, sizes and sides are made as for the baseline.
    """

    operating_point = 0.5

    def __init__(self, model: SlotModel) -> None:
        self._model = model
        said = model.manifest
        self.method = (f"Marks of the model {said.name} {said.version} (SHA-256 {said.model_digest[:12]}); "
                       "outlines and sizes by half contrast. A place without a mark was not shown to be normal.")

    def __call__(self, images: StudyImages, fields: Sequence[Field], context: RunContext) -> list[Mark]:
        """Marks by falling certainty. Raises RunFailed for a model of other images or with other answers, and as the
        model does.
        """
        del fields
        said = self._model.manifest
        if (said.modality, said.reads, said.of_study) != (images.modality, "volume", False):
            raise RunFailed(f"the model {said.name} in the slot does not read one series of {images.modality} "
                            f"slices; `radnode models remove {said.name}`, and add one that does")
        answer = self._model.pipeline.run(images, context)
        if answer.segments or answer.classifications or answer.maps or answer.derived is not None:
            raise RunFailed(f"the model {said.name} in the slot answers with something else than marks; "
                            f"`radnode models remove {said.name}`, and add one that detects nodules")
        found = [
            Mark(center_lps=each.at.center_lps, certainty=each.certainty or 0.0,
                 diameter_mm=float(np.median(each.at.extent_mm)) if each.at.extent_mm else _UNSIZED_MM)
            for each in answer.detections if isinstance(each.at, InPatient)
        ]
        return sorted(found, key=lambda each: -each.certainty)
