"""Boxes and points that a network gives on images that are no slices, as detections in pixel coordinates.

MONAI counts (column, row) of the network's image with pixel centres on whole numbers; the image's affine leads from
there to the image as it was received. DICOM's pixel coordinates begin at the corner of the first pixel (PS3.3
C.18.6.1.2), so half a pixel is added. Nothing is turned or mirrored on the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from monai.data.box_utils import convert_box_mode
from monai.data.meta_tensor import MetaTensor

from radnode.pipelines.contract import RunFailed
from radnode.pipelines.findings import Detection, OnImage, Rendering
from radnode.pipelines.models import boxes, points
from radnode.pipelines.models.terms import term

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from radnode.pipelines.geometry import ColourImage, Projection
    from radnode.pipelines.models.boxes import Convention

    Picture = Projection | ColourImage

_CORNERS = "xyxy"
_BESIDE = 1.0
"""Pixels by which a box may reach over the edge of the image; it is cut there."""


def of_boxes(
    answer: Mapping[str, Any], written: Convention, shown: Any, names: Mapping[int, str], image: Picture
) -> list[Detection]:
    """A detection for each box on one image, the most certain first.

    shown: what the network saw, with its affine. Raises RunFailed for boxes in the patient's coordinates, which these
    images have none of, for a box beside the image, a class without a name, numbers that are none.
    """
    if written.world is not None:
        raise RunFailed("the bundle brings its boxes into the patient's coordinates; these images have none")
    found, labels, scores = boxes.parts(answer, 2)
    if unknown := sorted(set(labels.tolist()) - set(names)):
        raise RunFailed(f"the model finds objects of the classes {unknown[:10]}, which the bundle does not name")
    mode = _CORNERS if written.mode == boxes.CORNERS else written.mode
    if mode != _CORNERS and len(found):
        found = np.asarray(convert_box_mode(found, src_mode=mode, dst_mode=_CORNERS))
    marks = []
    for place in np.argsort(-scores, kind="stable"):
        low, high = (_on_image(corner, shown, image) for corner in (found[place, :2], found[place, 2:]))
        low, high = np.minimum(low, high), np.maximum(low, high)
        size = np.array(image.shape[::-1], np.float64)
        if (low < -_BESIDE).any() or (high > size + _BESIDE).any():
            raise RunFailed("the model marks a place outside the image: its boxes are not in the coordinates of the "
                            "network's image")
        (x0, y0), (x1, y1) = low.clip(0, size), high.clip(0, size)
        outline = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
        marks.append(_detection(names[int(labels[place])], image, outline.mean(axis=0), float(scores[place]), outline))
    return marks


def of_points(answer: Any, said: Mapping[str, Any], shown: Any, image: Picture) -> tuple[list[Detection], list[str]]:
    """A detection for each landmark on one image, and the names of those that lie outside it.

    answer: (2, points) in the network's image, or a heat map for each, (points, columns, rows). said: its entry in the
    metadata. Raises RunFailed for numbers that are none, and for more or fewer points than the bundle announces.
    """
    values = boxes.array(answer).astype(np.float64)
    if not np.isfinite(values).all():
        raise RunFailed("the model's landmarks hold values that are no numbers (NaN or infinite): its weights or the "
                        "images are not what it was made for")
    heat = values.ndim == 3
    if not heat and (values.ndim != 2 or len(values) != 2):
        raise RunFailed(f"the model's landmarks have the shape {values.shape}; on an image they are (2, points), or a "
                        "heat map for each")
    names = points.names_of(said, len(values) if heat else values.shape[1])
    given = points.peaks(values, names) if heat else ((*each, None) for each in zip(names, values.T, strict=True))
    marks: list[Detection] = []
    beside: list[str] = []
    for name, index, certainty in given:
        place = _on_image(index, answer if heat else shown, image)
        if (place < 0).any() or (place > np.array(image.shape[::-1])).any():
            beside.append(name)
        else:
            marks.append(_detection(name, image, place, certainty, None))
    return marks, beside


def _on_image(index: NDArray[np.float64], shown: Any, image: Picture) -> NDArray[np.float64]:
    """(column, row) in the network's image -> pixel coordinates of the image as it was received."""
    if not isinstance(shown, MetaTensor):
        raise RunFailed("the model's marks do not say where they lie: what the network saw has no place")
    affine = shown.affine.cpu().numpy().astype(np.float64)
    return np.asarray(affine[:2, :2] @ index + affine[:2, -1] + 0.5)


def _detection(
    name: str, image: Picture, center: NDArray[np.float64], certainty: float | None,
    outline: NDArray[np.float64] | None,
) -> Detection:
    meant = term(name)
    likely = certainty is None or certainty >= boxes.LIKELY
    return Detection(
        key=meant.key, label=meant.label[:64], type=meant.type, site=meant.site, laterality=meant.laterality,
        certainty=certainty, rendering=Rendering.REQUIRED if likely else Rendering.OPTIONAL,
        at=OnImage(sop_instance_uid=image.source.sop_instance_uid, frame_number=image.source.frame_number,
                   center=(float(center[0]), float(center[1])), outline=outline),
    )
