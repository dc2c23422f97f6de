"""What is known of every brain, asked of the structures that a model found: one piece, the cerebellum below and behind
the cerebrum, and paired structures on either side of one plane. Coordinates are LPS mm (x to the patient's left).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from radnode.pipelines.contract import NotProcessed, RunFailed
from radnode.pipelines.ct_lung.measures import LEFT, RIGHT
from radnode.pipelines.geometry import to_patient

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from radnode.pipelines.findings import Segment
    from radnode.pipelines.geometry import Points, Volume

# SNOMED CT codes of PS3.16 CID 7140.
CEREBRUM = {"68523003": "Cerebral White Matter", "40146001": "Cerebral cortex"}
CEREBELLUM = {"33060004": "Cerebellar White Matter", "25991003": "Cerebellar Cortex"}
PAIRED = {"42695009": "Thalamus", "11000004": "Caudate Nucleus", "89278009": "Putamen", "14738005": "Globus Pallidus",
          "5366008": "Hippocampus", "4958002": "Amygdala", "427667007": "Nucleus Accumbens"}
"""One in each hemisphere; only the thalami may touch (interthalamic adhesion)."""

LEAST_BRAIN_ML = 300.0
"""Less is no brain: a newborn's has about 350 ml."""
# In LPS the middle of the cerebellum lies about 40 mm below and 40 mm behind that of the cerebrum.
_BELOW_MM, _BEHIND_MM = 15.0, 10.0
# A body of a pair is at least this share of both; pairs agree on a plane to so many mm and degrees.
_SMALLEST_SHARE = 0.25
_OFF_PLANE_MM, _ASKEW = 5.0, np.cos(np.deg2rad(20.0))
_FEWEST_PAIRS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """Between the hemispheres: normal . point = offset_mm; the normal points to the patient's left."""

    normal: NDArray[np.float64]
    offset_mm: float

    def left_of(self, points: Points) -> NDArray[np.bool_]:
        """Which of the points (n, 3), LPS mm, lie on the patient's left."""
        return np.asarray(points @ self.normal > self.offset_mm)


def checked(segments: Sequence[Segment], volume: Volume) -> tuple[tuple[Segment, ...], list[str]]:
    """The structures on one new label map, without islands and with sides; and remarks.

    Raises NotProcessed where they are no brain or lie as none does, RunFailed for structures that overlap or whose
    sides are exchanged.
    """
    labels = _one_label_map(segments, volume)
    stray_ml = _drop_islands(labels, volume)
    if (ml := _ml(labels > 0, volume)) < LEAST_BRAIN_ML:
        raise NotProcessed(f"the model found {ml:.0f} ml of brain, less than the {LEAST_BRAIN_ML:.0f} ml of any whole "
                           "one: these images show no head, or not enough of it")
    numbers = dict(enumerate(segments, 1))
    _refuse_posture(labels, numbers, volume)
    remarks = [] if stray_ml < 0.1 else [
        f"{stray_ml:.1f} ml that the model named lie apart from the brain and were left out."]
    found, said = _with_sides(labels, numbers, volume)
    present = set(np.flatnonzero(np.bincount(labels.ravel())).tolist())
    return tuple(each for each in found if each.value in present), remarks + said


def _one_label_map(segments: Sequence[Segment], volume: Volume) -> NDArray[np.uint16]:
    labels = np.zeros(volume.voxels.shape, np.uint16)
    for number, each in enumerate(segments, 1):
        mask = each.mask
        if labels[mask].any():
            raise RunFailed(f"the model in the slot structures lets {each.label} overlap another structure; a label "
                            "map is wanted")
        labels[mask] = number
    return labels


def _drop_islands(labels: NDArray[np.uint16], volume: Volume) -> float:
    """Clear what is not connected to the largest piece; returns its millilitres."""
    pieces, count = ndimage.label(labels > 0)
    if count < 2:
        return 0.0
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    stray = (pieces > 0) & (pieces != sizes.argmax())
    labels[stray] = 0
    return _ml(stray, volume)


def _ml(mask: NDArray[np.bool_], volume: Volume) -> float:
    return float(np.count_nonzero(mask)) * volume.voxel_volume_mm3 / 1000


def _refuse_posture(labels: NDArray[np.uint16], numbers: Mapping[int, Segment], volume: Volume) -> None:
    """A study that was registered in a posture that was not the true one has its sides exchanged."""
    middles = []
    for codes in (CEREBRUM, CEREBELLUM):
        values = [number for number, each in numbers.items() if each.type.value in codes]
        index = np.argwhere(np.isin(labels, values))
        if not len(index):
            return
        middles.append(to_patient(volume.affine, index.mean(axis=0)[np.newaxis])[0])
    _, behind, above = middles[1] - middles[0]
    if above > -_BELOW_MM or behind < _BEHIND_MM:
        where = (f"{abs(behind):.0f} mm {'behind' if behind > 0 else 'in front of'} and {abs(above):.0f} mm "
                 f"{'above' if above > 0 else 'below'}")
        raise NotProcessed(f"the cerebellum lies {where} the cerebrum: this contradicts the declared orientation, "
                           "so left and right are not certain; correct Patient Position at the scanner")


def _with_sides(
    labels: NDArray[np.uint16], numbers: Mapping[int, Segment], volume: Volume
) -> tuple[list[Segment], list[str]]:
    """Each structure as it is, or, of a pair without sides, as two; `labels` is written to."""
    _refuse_exchanged(labels, numbers, volume)
    whole = [replace(each, voxels=labels, value=number) for number, each in numbers.items()]
    pairs = {number: bodies for number, each in numbers.items() if each.type.value in PAIRED and each.laterality is None
             and (bodies := _bodies(labels, number, volume))}
    asked = {each.value for each in whole if each.type.value in PAIRED and each.laterality is None}
    if not asked:
        return whole, []
    plane = middle_plane(list(pairs.values()))
    if plane is None:
        return whole, ["Left and right were not told apart: the paired structures do not lie on either side of one "
                       "plane. Their volumes are of both sides together."]
    found, together = [], []
    for each in whole:
        index = np.argwhere((labels == each.value) & (each.value in asked))
        if not len(index):
            found.append(each)
            continue
        left = plane.left_of(to_patient(volume.affine, index.astype(np.float64)))
        if not _SMALLEST_SHARE <= left.mean() <= 1 - _SMALLEST_SHARE:
            found.append(each)
            together.append(each.label)
            continue
        right = index[~left]
        other = len(numbers) + each.value
        labels[tuple(right.T)] = other
        found += [replace(each, key=f"left-{each.key}", label=f"Left {each.label}"[:64], laterality=LEFT),
                  replace(each, key=f"right-{each.key}", label=f"Right {each.label}"[:64], laterality=RIGHT,
                          value=other, rgb=(each.rgb[2], each.rgb[0], each.rgb[1]))]
    said = ["The model names no sides; left and right of paired structures were told apart by the plane between them."]
    if together:
        said.append(f"Of both sides together, because they do not lie on both sides of it: {', '.join(together)}.")
    return found, said


def _bodies(labels: NDArray[np.uint16], number: int, volume: Volume) -> list[Points]:
    """The middles (LPS mm) of the two large pieces of a structure; none where there are not two."""
    mask = labels == number
    if not mask.any():
        return []
    box = ndimage.find_objects(mask.view(np.uint8))[0]
    pieces, count = ndimage.label(mask[box])
    sizes = np.bincount(pieces.ravel(), minlength=3)
    sizes[0] = 0
    largest = np.argsort(-sizes)[:2]
    if count < 2 or sizes[largest].min() < _SMALLEST_SHARE * sizes.sum():
        return []
    middles = np.array(ndimage.center_of_mass(mask[box], pieces, largest)) + [each.start for each in box]
    return list(to_patient(volume.affine, middles))


def middle_plane(pairs: Sequence[Sequence[Points]]) -> Plane | None:
    """The plane in whose middle pairs of points (LPS mm) lie; None where fewer than three pairs agree on one."""
    if len(pairs) < _FEWEST_PAIRS:
        return None
    across = np.array([one - other if one[0] > other[0] else other - one for one, other in pairs])
    across /= np.linalg.norm(across, axis=1)[:, np.newaxis]
    normal = np.median(across, axis=0)
    normal /= np.linalg.norm(normal)
    offsets = np.array([(one + other) @ normal / 2 for one, other in pairs])
    agree = (across @ normal > _ASKEW) & (np.abs(offsets - np.median(offsets)) < _OFF_PLANE_MM)
    if agree.sum() < max(_FEWEST_PAIRS, len(pairs) / 2 + 0.5) or normal[0] < np.cos(np.deg2rad(45)):
        return None
    return Plane(normal=normal, offset_mm=float(offsets[agree].mean()))


def _refuse_exchanged(labels: NDArray[np.uint16], numbers: Mapping[int, Segment], volume: Volume) -> None:
    """Of a model that names sides, what it calls left lies to the left of what it calls right."""
    at: dict[tuple[str, str], float] = {}
    for number, each in numbers.items():
        index = np.argwhere(labels == number) if each.laterality in (LEFT, RIGHT) else np.empty((0, 3))
        if len(index) and each.laterality is not None:
            middle = to_patient(volume.affine, index.mean(axis=0)[np.newaxis])[0]
            at[each.type.value, each.laterality.value] = float(middle[0])
    for (what, side), x in at.items():
        if side == LEFT.value and x <= at.get((what, RIGHT.value), -np.inf):
            name = next(each.label for each in numbers.values() if each.type.value == what)
            raise RunFailed(f"the model in the slot structures exchanges the sides: its left {name} lies to the right "
                            "of its right one; correct the orientation in its model.yaml")
