"""Images that are no slices, as MONAI reads picture files, and what a bundle says of them as findings.

MONAI's PILReader gives (columns, rows), or (columns, rows, 3) of a colour image, with the unit matrix for an affine;
`tests/unit/pipelines/models/test_flat.py` compares with it element for element.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor

from radnode.pipelines.contract import NotProcessed, RunFailed
from radnode.pipelines.findings import Findings
from radnode.pipelines.geometry import ColourImage
from radnode.pipelines.models import answers, boxes, classes, description, marks
from radnode.pipelines.models.kinds import Kind
from radnode.pipelines.models.terms import term

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from radnode.pipelines.findings import Classification, Detection, Segment
    from radnode.pipelines.geometry import Projection
    from radnode.pipelines.models.kinds import Output

    Picture = Projection | ColourImage

_BESIDE = 1.0
"""Pixels by which the far corner of an answer may miss that of the image; what rounding of sizes leaves."""


def to_monai(image: Picture, channels: int) -> MetaTensor:
    """The image as LoadImage would give it from a PNG file of what is seen: float32, from 0 to 255.

    A radiograph is what its own window shows; where the bundle reads three channels, they are alike, as in the pictures
    that such models were trained with. Raises NotProcessed for a radiograph without values to show.
    """
    picture = seen(image, channels)
    values = torch.from_numpy(np.moveaxis(picture, 0, 1).astype(np.float32))
    return MetaTensor(values, affine=torch.eye(4, dtype=torch.float64), spatial_ndim=2, meta={
        "original_channel_dim": -1 if picture.ndim == 3 else float("nan"), "spatial_shape": np.array(values.shape[:2]),
        "original_affine": np.eye(4), "filename_or_obj": f"{image.source.sop_instance_uid}.png",
    })


def seen(image: Picture, channels: int) -> NDArray[np.uint8]:
    """What is seen, (rows, columns), or (rows, columns, 3). Raises NotProcessed as :func:`to_monai`."""
    if isinstance(image, ColourImage):
        return image.rgb
    if image.display is None:
        raise NotProcessed("the bundle reads pictures as they are shown; these images are not for presentation")
    return np.repeat(image.display[..., np.newaxis], 3, axis=-1) if channels == 3 else image.display


def to_source(answer: torch.Tensor, image: Picture) -> NDArray[Any]:
    """(channels, *any grid) -> (channels, rows, columns) of the image, by the nearest.

    Raises RunFailed for an answer that does not lie over the whole image.
    """
    values = answer.detach().cpu().numpy()
    rows, columns = image.shape
    if values.ndim != 3:
        raise RunFailed(f"the model's answer has the shape {values.shape}; announced is an image")
    there = np.eye(4)
    # Of an answer of several parts, taking the batch apart leaves a row of the matrix: no place.
    if isinstance(answer, MetaTensor) and answer.affine.ndim == 2:
        there = np.linalg.inv(answer.affine.cpu().numpy().astype(np.float64))
    corner = there[:2, :2] @ (columns - 0.5, rows - 0.5) + there[:2, 3]
    first = there[:2, :2] @ (-0.5, -0.5) + there[:2, 3]
    if np.abs(first + 0.5).max() > _BESIDE or np.abs(corner + 0.5 - values.shape[1:]).max() > _BESIDE or (
        np.abs(there[[0, 1], [1, 0]]).max() > 1e-6
    ):
        raise RunFailed(f"the model's answer of {values.shape[1]}x{values.shape[2]} pixels does not say where it lies "
                        f"on an image of {columns}x{rows}")
    i = np.rint(there[0, 0] * np.arange(columns) + there[0, 3]).clip(0, values.shape[1] - 1).astype(int)
    j = np.rint(there[1, 1] * np.arange(rows) + there[1, 3]).clip(0, values.shape[2] - 1).astype(int)
    return np.asarray(values[:, i[:, np.newaxis], j].transpose(0, 2, 1))


def findings(
    given: Sequence[Mapping[str, Any]], wanted: Output, metadata: Mapping[str, Any], transforms: Sequence[Any],
    images: Sequence[Picture], *, rows_first: bool = False,
) -> Findings:
    """What the evaluator gave for each image. transforms: the bundle's own postprocessing.

    rows_first: answers are (..., rows, columns) and have no other place. Raises RunFailed, and NotProcessed for
    answers that nobody reads.
    """
    if wanted.kind is Kind.DETECTION:
        return _boxes(given, wanted, metadata, transforms, images)
    if any(each.get(wanted.name) is None for each in given):
        raise RunFailed(f"the bundle gave no answer named {wanted.name!a}, which its metadata announces")
    said = [each[wanted.name] for each in given]
    if wanted.kind is Kind.CLASSIFICATION:
        answered = classes_of(given, wanted, metadata, transforms)
        return Findings(
            projections=tuple(images), remarks=tuple(dict.fromkeys(each for one in answered for each in one.remarks)),
            classifications=tuple(_about(image, each, number) for number, (one, image) in
                                  enumerate(zip(answered, images, strict=True), 1) for each in one.answers))
    if wanted.kind is Kind.SEGMENTATION:
        if rows_first:
            said = [_turned(each, image) for each, image in zip(said, images, strict=True)]
        drawn, remarks = _segments(said, wanted.said, description.task(metadata, "segmentation"), images)
        return Findings(projections=tuple(images), segments=drawn, remarks=remarks)
    if wanted.kind is Kind.LANDMARKS:
        return _points(given, wanted, images)
    raise NotProcessed(f"the bundle gives {wanted.kind} of images; of images, segmentations, boxes, points and classes "
                       "are read")


def _boxes(
    given: Sequence[Mapping[str, Any]], wanted: Output, metadata: Mapping[str, Any], transforms: Sequence[Any],
    images: Sequence[Picture],
) -> Findings:
    names, written = description.classes_of_boxes(metadata, wanted.said), boxes.convention(transforms)
    found = [mark for each, image in zip(given, images, strict=True)
             for mark in marks.of_boxes(_dictionary(each, wanted.name), written, each.get("image"), names, image)]
    unlikely = sum(mark.certainty is not None and mark.certainty < boxes.LIKELY for mark in found)
    remarks = (f"{unlikely} of {len(found)} marks have a certainty below 50 %.",) if unlikely else ()
    return Findings(projections=tuple(images), detections=_numbered(found), remarks=remarks,
                    looked_for=tuple(dict.fromkeys(term(name).type for name in names.values())))


def _points(given: Sequence[Mapping[str, Any]], wanted: Output, images: Sequence[Picture]) -> Findings:
    found: list[Detection] = []
    beside: list[str] = []
    for each, image in zip(given, images, strict=True):
        on_image, outside = marks.of_points(each[wanted.name], wanted.said, each.get("image"), image)
        found += on_image
        beside += outside
    missing = (f"Outside an image: {', '.join(dict.fromkeys(beside))}.",) if beside else ()
    searched = tuple(dict.fromkeys([mark.type for mark in found] + [term(name).type for name in beside]))
    return Findings(projections=tuple(images), detections=_numbered(found), looked_for=searched, remarks=missing)


def _dictionary(given: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    answer = given.get(name)
    return answer if isinstance(answer, dict) else given


def _numbered(found: Sequence[Detection]) -> tuple[Detection, ...]:
    return tuple(replace(mark, key=f"{mark.key}-{number}") for number, mark in enumerate(found, 1))


def classes_of(
    given: Sequence[Mapping[str, Any]], wanted: Output, metadata: Mapping[str, Any], transforms: Sequence[Any]
) -> list[classes.Answered]:
    """What the evaluator's answers say of each image. Raises as :func:`findings`."""
    apart = classes.each_apart(wanted.said, transforms)
    about = f"{metadata.get('name')} {metadata.get('task')}"
    return [classes.answered(each[wanted.name], wanted.said, about, apart=apart) for each in given]


def key_of(key: str, number: int) -> str:
    """The key of an answer about the image of that number, from 1."""
    return f"{key}-{number}"


def _about(image: Picture, answer: Classification, number: int) -> Classification:
    return replace(answer, key=key_of(answer.key, number), of=image.source.sop_instance_uid,
                   frame_number=image.source.frame_number)


def _turned(answer: Any, image: Picture) -> torch.Tensor:
    """([channels,] rows, columns) -> (channels, columns, rows). Raises RunFailed for another shape than the image's."""
    given = np.asarray(answer.detach().cpu() if hasattr(answer, "detach") else answer)
    # torch counts with few operations in unsigned numbers.
    values = torch.as_tensor(given.astype(np.int64) if given.dtype.kind in "ui" else given)
    if tuple(values.shape[-2:]) != image.shape or values.ndim not in (2, 3):
        raise RunFailed(f"the model's answer has the shape {tuple(values.shape)}, the image has {image.shape}")
    return values.reshape(-1, *image.shape).transpose(1, 2)


def _segments(
    said: Sequence[torch.Tensor], output: Mapping[str, Any], about: str, images: Sequence[Picture]
) -> tuple[tuple[Segment, ...], tuple[str, ...]]:
    """One for each class and image that has it; of an image with several frames, over all of them.

    about: what the bundle's task says that it segments; the one class of a bundle that names none, whatever numbers it
    tells apart.
    """
    names = description.names(output, required=not about)
    unnamed = not names
    names = names or {0: "background", 1: about}
    planes: dict[str, list[NDArray[Any]]] = {}
    remarks: dict[str, None] = {}
    for answer, image in zip(said, images, strict=True):
        decided, remarked = answers.decided(answer, names)
        if unnamed:
            apart = len(torch.unique(decided[decided > 0]))
            if apart > 1:
                remarked = (*remarked, f"The model tells {apart} objects apart; they are shown as one region.")
            decided = (decided > 0).to(torch.uint8)
        remarks |= dict.fromkeys(remarked)
        planes.setdefault(image.source.sop_instance_uid, []).append(to_source(decided, image))
    framed = {image.source.sop_instance_uid for image in images if image.source.frame_number is not None}
    found: list[Segment] = []
    for number, (uid, each) in enumerate(planes.items(), 1):
        values = np.stack(each, axis=1) if uid in framed else each[0]
        found += [replace(segment, key=f"{segment.key}-{number}" if len(planes) > 1 else segment.key, on=uid)
                  for segment in answers.named(values, names)]
    return tuple(found), tuple(remarks)
