"""A head of ellipsoids: a label map with known truth on any grid, and a model that answers with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines.contract import SlotModel, StudyImages
from radnode.pipelines.findings import Findings
from radnode.pipelines.geometry import SourceFrame, Volume
from radnode.pipelines.models import answers
from support import mr_study, phantoms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from radnode.pipelines.contract import RunContext
    from radnode.pipelines.inputs import Input

# Structure -> middles and half axes in LPS mm; a later one lies inside or beside an earlier one.
STRUCTURES: dict[str, tuple[tuple[tuple[float, float, float], ...], tuple[float, float, float]]] = {
    "Cerebral-Cortex": (((0, 0, 0),), (60, 78, 52)),
    "Cerebral-White-Matter": (((0, 0, 0),), (54, 70, 44)),
    "Cerebellum-Cortex": (((0, 48, -44),), (44, 26, 20)),
    "Brain-Stem": (((0, 22, -44),), (12, 12, 24)),
    "Lateral-Ventricle": (((0, 0, 18),), (14, 30, 8)),
    "Thalamus": (((13, 12, 0), (-13, 12, 0)), (9, 13, 9)),
    "Putamen": (((28, -4, -2), (-28, -4, -2)), (6, 15, 10)),
    "Caudate": (((14, -20, 4), (-14, -20, 4)), (6, 9, 9)),
    "Hippocampus": (((27, 16, -16), (-27, 16, -16)), (6, 14, 5)),
}
NAMES = {0: "background", **dict(enumerate(STRUCTURES, 1))}
GREY, WHITE = 300.0, 450.0


def grid(step_mm: float = 4.0, plane: str = "axial", tilt_degrees: float = 0.0) -> Volume:
    """A head on a grid around its middle; the voxels are white matter's or the rest's."""
    affine = mr_study.Sweep(name="head", shows="T1", plane=plane, step_mm=(step_mm,) * 3,
                            shape=(round(180 / step_mm),) * 3).affine
    angle = np.deg2rad(tilt_degrees)
    turn = np.eye(4)
    turn[0, :2], turn[1, :2] = (np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))
    affine = turn @ affine
    shape = (round(180 / step_mm),) * 3
    labels = truth(affine, shape)
    voxels = np.where(labels == 2, WHITE, np.where(labels > 0, GREY, 0)).astype(np.float32)
    frames = tuple(SourceFrame(sop_class_uid="1.2.840.10008.5.1.4.1.1.4", sop_instance_uid=f"2.25.{index + 1}")
                   for index in range(shape[0]))
    return Volume(voxels=voxels, affine=affine, frames=frames, valid=np.ones(shape, np.bool_),
                  series_instance_uid="2.25.100", frame_of_reference_uid="2.25.200")


def truth(affine: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The label of each voxel."""
    points = mr_study.grid(affine, shape)
    labels = np.zeros(len(points), np.uint8)
    for number, (middles, half) in enumerate(STRUCTURES.values(), 1):
        for middle in middles:
            labels[(((points - np.array(middle)) / np.array(half)) ** 2).sum(axis=1) <= 1] = number
    return labels.reshape(shape)


@dataclass(kw_only=True)
class Answers:
    """A model whose answer is known. asked: the images that it got."""

    labels: NDArray[np.uint8]
    names: Mapping[int, str] = field(default_factory=lambda: NAMES)
    asked: list[StudyImages] = field(default_factory=list)

    def run(self, images: StudyImages, context: RunContext) -> Findings:
        """The labels."""
        context.stage("answering")
        self.asked.append(images)
        return Findings(volume=images.volume, segments=tuple(answers.named(self.labels[np.newaxis], self.names)))


def in_slot(pipeline: Answers, inputs: tuple[Input, ...] = ()) -> SlotModel:
    """As the registry gives it to a pipeline."""
    return SlotModel(manifest=phantoms.manifest(modality="MR", title="Known", inputs=inputs), pipeline=pipeline)
