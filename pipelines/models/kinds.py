"""What kind of answer a bundle gives, by its `network_data_format`, and who reads it.

    segmentation    labels or channels on a grid        answers.segments
    detection       boxes with classes and scores       boxes.detections
    classification  a probability for each class        classes.classification
    landmarks       points, or a heat map for each      points.landmarks
    image           an image made of the images         images.derived
    displacement    where each point lies in another    displacement.moved
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from monai.transforms.post.dictionary import Invertd

from radnode.pipelines.contract import NotProcessed, RunFailed
from radnode.pipelines.models import answers, boxes, classes, description, displacement, images, points

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from radnode.pipelines.findings import Findings
    from radnode.pipelines.geometry import Volume


class Kind(StrEnum):
    """What a bundle answers."""

    SEGMENTATION = "segmentation"
    DETECTION = "detection"
    CLASSIFICATION = "classification"
    LANDMARKS = "landmarks"
    IMAGE = "image"
    DISPLACEMENT = "displacement"


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """The answer that is read. name: its key in what the evaluator gives. said: its entry in the metadata."""

    name: str
    kind: Kind
    said: Mapping[str, Any]


def output(metadata: Mapping[str, Any], bundle: str, modality: str) -> Output:
    """The first answer of a kind that is read, of images of that modality; of several, a displacement field.

    Raises NotProcessed, naming what the bundle gives instead.
    """
    outputs = description.outputs(metadata)
    # Of a field and the image that it moved, the field: the image has the network's numbers, not the scanner's.
    fields_first = sorted(outputs.items(), key=lambda each: kind_of(each[1]) is not Kind.DISPLACEMENT)
    for name, said in fields_first:
        if (kind := kind_of(said)) is not None:
            if kind in (Kind.IMAGE, Kind.DISPLACEMENT):
                images.check_modality(said, modality)
            return Output(name=name, kind=kind, said=said)
    given = ", ".join(f"{each.get('type')}/{each.get('format')}" for each in outputs.values()) or "nothing it names"
    raise NotProcessed(f"bundle {bundle} gives {given}; readable are {', '.join(Kind)}")


def kind_of(said: Mapping[str, Any]) -> Kind | None:
    """Of one entry of `network_data_format` / outputs; None for what is not read.

    An answer of the shape (1, classes) has no place: such labels are classes, whatever their format is called.
    """
    kind, form = str(said.get("type", "")).lower(), str(said.get("format", "")).lower()
    shape = said.get("spatial_shape") or []
    if form.replace(" ", "_") in displacement.FORMATS:
        return Kind.DISPLACEMENT
    if kind == "object" or form in ("boxes", "detection", "detections"):
        return Kind.DETECTION
    if form in ("points", "landmarks", "heatmap", "heatmaps"):
        return Kind.LANDMARKS
    if form in ("classes", "classification") or (form == "labels" and len(shape) == 2 and shape[0] == 1):
        return Kind.CLASSIFICATION
    if form in ("segmentation", "labels"):
        return Kind.SEGMENTATION
    if kind == "image" and form in ("magnitude", "hounsfield"):
        return Kind.IMAGE
    return None


def findings(
    given: Mapping[str, Any], wanted: Output, metadata: Mapping[str, Any], transforms: Sequence[Any], modality: str,
    volume: Volume, *, moving: Volume | None = None,
) -> Findings:
    """What the evaluator gave for one study of that modality, as findings.

    transforms: the bundle's own postprocessing, which says in what coordinates boxes come. moving: of a registration,
    the image that is moved, on the grid of `volume`. Raises RunFailed.
    """
    answer = given.get(wanted.name)
    if wanted.kind is Kind.DETECTION:
        found = answer if isinstance(answer, dict) else given
        names = description.classes_of_boxes(metadata, wanted.said)
        return boxes.detections(found, boxes.convention(transforms), given.get("image"), names, volume)
    if answer is None:
        raise RunFailed(f"the bundle gave no answer named {wanted.name!a}, which its metadata announces")
    if wanted.kind is Kind.CLASSIFICATION:
        about = f"{metadata.get('name')} {metadata.get('task')}"
        return classes.classification(
            answer, wanted.said, about, volume, apart=classes.each_apart(wanted.said, transforms))
    if wanted.kind is Kind.LANDMARKS:
        return points.landmarks(answer, wanted.said, given.get("image"), volume)
    if wanted.kind is Kind.DISPLACEMENT:
        return displacement.moved(
            answer, wanted.said, given.get("image"), moving=_check_field(wanted, transforms, moving), fixed=volume,
            unit=images.HOUNSFIELD if modality == "CT" else images.NO_UNIT)
    if wanted.kind is Kind.IMAGE:
        about = str(metadata.get("task") or metadata.get("name") or "Image made by a model")
        return images.derived(answer, wanted.said, about, modality, volume)
    return answers.segments(answer, wanted.said, volume)


def _check_field(wanted: Output, transforms: Sequence[Any], moving: Volume | None) -> Volume:
    """The image that is moved, where it is known and the field is as the network gave it. Raises RunFailed."""
    if moving is None:
        raise RunFailed("the bundle gives a displacement field and does not say which of its inputs is moved; name "
                        "them 'fixed …' and 'moving …' in channel_def")
    if any(isinstance(each, Invertd) and wanted.name in each.keys for each in transforms):
        raise RunFailed("the bundle brings its displacement field back by Invertd, which moves vectors without turning "
                        "them; the field is read as the network gave it")
    return moving
