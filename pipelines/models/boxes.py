"""Boxes that a detector gives, as detections in the patient (LPS millimetres).

The bundle's own transforms say in which coordinates its boxes come: those of the network's image, or the patient's
after `AffineBoxToWorldCoordinate`; and in which order of numbers (`ConvertBoxMode`). MONAI's boxes are in indices of
the network's image with voxel centres on whole numbers, as its own affine reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from monai.apps.detection.transforms.array import ConvertBoxMode
from monai.apps.detection.transforms.dictionary import AffineBoxToWorldCoordinated, ConvertBoxModed
from monai.data.box_utils import convert_box_mode
from monai.data.meta_tensor import MetaTensor

from radnode.pipelines.contract import RunFailed
from radnode.pipelines.findings import Detection, Findings, InPatient, Rendering
from radnode.pipelines.geometry import to_index, to_patient
from radnode.pipelines.models.terms import term

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from radnode.pipelines.geometry import Volume

CORNERS = "xyzxyz"
_TO_LPS = {"RAS": np.array([-1.0, -1.0, 1.0]), "LPS": np.ones(3)}
LIKELY = 0.5


@dataclass(frozen=True, slots=True)
class Convention:
    """How a bundle writes its boxes. mode: as in `ConvertBoxMode`. world: RAS or LPS; None: the image's indices."""

    mode: str = CORNERS
    world: str | None = None


class BoxToPatientd(AffineBoxToWorldCoordinated):
    """AffineBoxToWorldCoordinated, also right for images that lie askew.

    MONAI moves two corners of a box and takes what lies between them: askew, that has the right centre and the wrong
    size. Here it is the smallest box along the patient's axes that holds all eight corners.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.converter_to_world_coordinate = _around  # type: ignore[assignment]


def convention(transforms: Sequence[Any]) -> Convention:
    """What the bundle's postprocessing makes of its boxes."""
    found = Convention()
    for each in transforms:
        if isinstance(each, AffineBoxToWorldCoordinated):
            found = Convention(found.mode, "LPS" if each.affine_lps_to_ras else "RAS")
        elif isinstance(each, (ConvertBoxMode, ConvertBoxModed)):
            converter = each.converter if isinstance(each, ConvertBoxModed) else each
            found = Convention(str(converter.dst_mode or CORNERS), found.world)
    return found


def detections(
    answer: Mapping[str, Any], written: Convention, image: Any, names: Mapping[int, str], volume: Volume
) -> Findings:
    """A detection for each box, the most certain first.

    answer: boxes (n, 6), a class and a score from 0 to 1 for each. image: the network's, with its affine.
    names: class -> what it is. Raises RunFailed for boxes without a place, a class without a name, numbers that are
    none.
    """
    boxes, labels, scores = parts(answer, 3)
    if unknown := sorted(set(labels.tolist()) - set(names)):
        raise RunFailed(f"the model finds objects of the classes {unknown[:10]}, which the bundle does not name")
    centers, sizes = _in_patient(boxes, written, image)
    found = []
    for number, place in enumerate(np.argsort(-scores, kind="stable"), 1):
        meant = term(names[int(labels[place])])
        found.append(Detection(
            key=f"{meant.key}-{number}", label=meant.label[:64], type=meant.type, site=meant.site,
            laterality=meant.laterality, certainty=float(scores[place]),
            at=InPatient(center_lps=_inside(centers[place], sizes[place], volume),
                         extent_mm=_triple(sizes[place])),
            rendering=Rendering.REQUIRED if scores[place] >= LIKELY else Rendering.OPTIONAL,
        ))
    unlikely = int((scores < LIKELY).sum())
    remarks = (f"{unlikely} of {len(found)} marks have a certainty below 50 %.",) if unlikely else ()
    searched = tuple(dict.fromkeys(term(name).type for name in names.values()))
    return Findings(volume=volume, detections=tuple(found), looked_for=searched, remarks=remarks)


def parts(
    answer: Mapping[str, Any], axes: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Boxes (n, twice the axes), classes and scores, by the words in their names: box, label, label_scores and alike.

    Raises RunFailed for parts that are not there, do not go together, or hold no numbers.
    """
    named = {}
    for word in ("box", "score", "label"):
        keys = [key for key, value in answer.items() if word in str(key).lower() and hasattr(value, "shape")
                and (word != "label" or "score" not in str(key).lower())]
        if len(keys) != 1:
            raise RunFailed(f"the model's answer has {len(keys)} parts named {word}; it needs boxes, labels and scores")
        named[word] = array(answer[keys[0]])
    if named["box"].size and named["box"].shape[-1] != 2 * axes:
        raise RunFailed(f"the model's boxes have {named['box'].shape[-1]} numbers each, expected {2 * axes}")
    boxes = named["box"].astype(np.float64).reshape(-1, 2 * axes)
    labels, scores = named["label"].reshape(-1), named["score"].reshape(-1).astype(np.float64)
    if not len(boxes) == len(labels) == len(scores):
        raise RunFailed(f"the model gives {len(boxes)} boxes, {len(labels)} labels and {len(scores)} scores")
    if not np.isfinite(boxes).all() or not np.isfinite(scores).all():
        raise RunFailed("the model's boxes hold values that are no numbers (NaN or infinite): its weights or the "
                        "images are not what it was made for")
    if scores.size and (scores.min() < 0 or scores.max() > 1):
        raise RunFailed("the model's scores lie beyond 0 to 1; a certainty was expected")
    return boxes, labels.astype(np.int64), scores


def array(values: Any) -> NDArray[Any]:
    """As numpy's, from whichever device."""
    return np.asarray(values.detach().cpu().float().numpy() if hasattr(values, "detach") else values)


def _in_patient(
    boxes: NDArray[np.float64], written: Convention, image: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centres and side lengths, (n, 3) each, along L, P and S in millimetres."""
    if written.mode != CORNERS and len(boxes):
        boxes = np.asarray(convert_box_mode(boxes, src_mode=written.mode, dst_mode=CORNERS))
    if written.world is not None:
        flip = _TO_LPS[written.world]
    elif isinstance(image, MetaTensor):
        boxes, flip = _around(boxes, image.affine.cpu().numpy()), _TO_LPS["RAS"]
    else:
        raise RunFailed("the model's boxes do not say where they lie: neither in the patient nor in an image with a "
                        "place")
    low, high = boxes[:, :3], boxes[:, 3:]
    return (low + high) / 2 * flip, np.abs(high - low)


def _around(boxes: Any, affine: Any) -> Any:
    """The smallest boxes along the axes of the world that hold boxes of an image; both as (low corner, high corner)."""
    said, matrix = array(boxes).astype(np.float64), array(affine).astype(np.float64)
    middle = (said[:, :3] + said[:, 3:]) / 2 @ matrix[:3, :3].T + matrix[:3, 3]
    half = np.abs(said[:, 3:] - said[:, :3]) / 2 @ np.abs(matrix[:3, :3]).T
    moved = np.hstack([middle - half, middle + half])
    return moved if isinstance(boxes, np.ndarray) else boxes.new_tensor(moved)


def _inside(center: NDArray[np.float64], size: NDArray[np.float64], volume: Volume) -> tuple[float, float, float]:
    """The centre, at most half the box moved back into the images. Raises RunFailed for a box beside them."""
    index = to_index(volume.affine, center[np.newaxis])[0]
    shape = np.array(volume.voxels.shape)
    kept = np.clip(index, -0.49, shape - 0.51)
    moved = to_patient(volume.affine, kept[np.newaxis])[0]
    if np.linalg.norm(moved - center) > np.linalg.norm(size) / 2 + np.linalg.norm(volume.spacing_mm):
        raise RunFailed("the model marks a place outside the images: its boxes are not in the coordinates that the "
                        "bundle states")
    return _triple(moved)


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    first, second, third = (float(each) for each in values)
    return first, second, third
