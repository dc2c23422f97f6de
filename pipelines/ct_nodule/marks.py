"""What a detector says of one chest, and the place that a trained model can take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from radnode.pipelines.ct_nodule.blobs import blobs
from radnode.pipelines.ct_nodule.field import SPACING_MM
from radnode.pipelines.ct_nodule.outline import outlined
from radnode.pipelines.ct_nodule.shape import Shape, certainty, shape_of
from radnode.pipelines.findings import InPatient

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from radnode.pipelines.contract import Pipeline, RunContext, StudyImages
    from radnode.pipelines.ct_nodule.blobs import Blob
    from radnode.pipelines.ct_nodule.field import Field


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


class Blobs:
    """The baseline: blobs of several sizes, judged by shape. No trained weights."""

    method = (
        "Marks of a research baseline without trained weights: compact bright regions in the lungs, judged by their "
        "shape. It was measured on synthetic chests only. A place without a mark was not shown to be normal."
    )
    operating_point = 0.5

    def __call__(self, images: StudyImages, fields: Sequence[Field], context: RunContext) -> list[Mark]:
        """Marks by falling certainty; those that lie in each other are one."""
        del images
        found = []
        for field in fields:
            context.stage(f"looking for nodules in the {field.side} lung")
            found += [_mark(field, blob, shape) for blob, shape in candidates(field, context.device)]
        found.sort(key=lambda each: -each.certainty)
        kept: list[Mark] = []
        for each in found:
            if all(_apart(each, other) for other in kept):
                kept.append(each)
        return kept


def candidates(field: Field, device: str) -> list[tuple[Blob, Shape]]:
    """Blobs of a lung that have an outline, and their shapes."""
    found = []
    for blob in blobs(field, device):
        half = int(np.ceil((2.2 * blob.radius_mm + 5) / SPACING_MM))
        at = np.rint(blob.index).astype(int)
        low, high = np.maximum(at - half, 0), np.minimum(at + half + 1, field.hu.shape)
        cube = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        outline = outlined(field.hu[cube], field.inside[cube], np.array(blob.index) - low, blob.radius_mm, SPACING_MM)
        if outline is not None:
            found.append((blob, shape_of(blob, outline)))
    return found


def _mark(field: Field, blob: Blob, shape: Shape) -> Mark:
    x, y, z = (float(each) for each in field.grid.points(np.array([blob.index]))[0])
    return Mark(center_lps=(x, y, z), diameter_mm=2 * blob.radius_mm, certainty=certainty(shape))


def _apart(one: Mark, other: Mark) -> bool:
    distance = float(np.linalg.norm(np.subtract(one.center_lps, other.center_lps)))
    return distance > max(one.diameter_mm, other.diameter_mm) / 2


class OfBundle:
    """A detection bundle of MONAI, or any pipeline whose findings are detections in the patient, as the detector.

    Its marks are taken as they are; outlines, sizes and sides are made here, as of the baseline's.
    """

    def __init__(self, pipeline: Pipeline, *, name: str, operating_point: float = 0.5) -> None:
        self._pipeline = pipeline
        self.method = f"Marks of the detector {name}; outlines and sizes by half contrast."
        self.operating_point = operating_point

    @classmethod
    def in_folder(cls, folder: Path, *, operating_point: float = 0.5) -> OfBundle:
        """The bundle in a folder."""
        from radnode.pipelines.models.bundle import BundlePipeline  # noqa: PLC0415 - monai is slow to import

        return cls(BundlePipeline(folder), name=folder.name, operating_point=operating_point)

    def __call__(self, images: StudyImages, fields: Sequence[Field], context: RunContext) -> list[Mark]:
        """Marks by falling certainty. Raises PipelineError as the bundle does."""
        del fields
        found = [
            Mark(center_lps=each.at.center_lps, certainty=each.certainty or 0.0,
                 diameter_mm=float(np.median(each.at.extent_mm)) if each.at.extent_mm else 8.0)
            for each in self._pipeline.run(images, context).detections if isinstance(each.at, InPatient)
        ]
        return sorted(found, key=lambda each: -each.certainty)
