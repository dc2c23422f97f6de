"""Volume and mean density of the organs that a model segmented, and what of them must not be believed."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from radnode.pipelines.contract import RunFailed
from radnode.pipelines.ct_lung.measures import ATTENUATION, HOUNSFIELD, LEFT, MEAN, MILLILITRE, RIGHT, VOLUME
from radnode.pipelines.findings import Measurement
from radnode.pipelines.geometry import to_patient

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from radnode.pipelines.findings import Segment
    from radnode.pipelines.geometry import Volume

_LIVER, _SPLEEN = "10200004", "78961009"
# Paired organs overlap in x when one is large or displaced; exchanged ones lie wholly on the other side.
_EXCHANGED_MM = 10.0
_CUT_MM2 = 150.0
_DIRECTIONS = (("right", "left"), ("front", "back"), ("lower", "upper"))


class _Sums:
    """What one pass over the voxels of a label map gives, for each value of it; a mask has the value 1."""

    def __init__(self, voxels: NDArray[Any], volume: Volume) -> None:
        labels = voxels.view(np.uint8) if voxels.dtype == np.bool_ else voxels
        count = int(labels.max()) + 1
        self.voxels, self.valid, self.hu = np.zeros(count), np.zeros(count), np.zeros(count)
        self.index = np.zeros((count, 3))
        for place, plane in enumerate(labels):
            rows, columns = np.nonzero(plane)
            found, valid = plane[rows, columns], volume.valid[place][rows, columns]
            here = np.bincount(found, minlength=count)
            self.voxels += here
            self.valid += np.bincount(found[valid], minlength=count)
            self.hu += np.bincount(found, volume.voxels[place][rows, columns] * valid, minlength=count)
            self.index[:, 0] += place * here
            self.index[:, 1] += np.bincount(found, rows, minlength=count)
            self.index[:, 2] += np.bincount(found, columns, minlength=count)
        self.cut = _cut(labels, count, volume)

    def centre(self, value: int, volume: Volume) -> NDArray[np.float64]:
        """LPS millimetres."""
        return np.asarray(to_patient(volume.affine, self.index[value][np.newaxis] / self.voxels[value])[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Measurements of each segment, and the remarks that go with them.

    centres: key -> LPS millimetres. cut: keys of segments that reach the upper or lower border of the images.
    """

    measurements: tuple[Measurement, ...]
    remarks: tuple[str, ...]
    centres: Mapping[str, NDArray[np.float64]]
    cut: frozenset[str]


def measured(segments: Sequence[Segment], volume: Volume) -> Measured:
    """Count the segments.

    Raises RunFailed where the organs of the two sides are exchanged: then nothing of the model's sides is true.
    """
    sums = {id(each.voxels): each.voxels for each in segments}
    counted = {key: _Sums(voxels, volume) for key, voxels in sums.items()}
    centres = {each.key: counted[id(each.voxels)].centre(each.value, volume) for each in segments}
    _refuse_exchanged(segments, centres)
    measurements: list[Measurement] = []
    for each in segments:
        of = counted[id(each.voxels)]
        ml = float(of.voxels[each.value]) * volume.voxel_volume_mm3 / 1000
        measurements.append(Measurement(of=each.key, name=VOLUME, value=round(ml, 1), unit=MILLILITRE))
        if of.valid[each.value]:
            mean = float(of.hu[each.value] / of.valid[each.value])
            measurements.append(
                Measurement(of=each.key, name=ATTENUATION, value=round(mean, 1), unit=HOUNSFIELD, method=MEAN))
    return Measured(
        measurements=tuple(measurements), centres=centres,
        remarks=(*_on_cut(segments, counted), *_on_unusual_sides(segments, centres)),
        cut=frozenset(each.key for each in segments for border in _DIRECTIONS[2]
                      if counted[id(each.voxels)].cut[border][each.value]),
    )


def _cut(labels: NDArray[Any], count: int, volume: Volume) -> dict[str, NDArray[np.bool_]]:
    """Border of the images, named by patient direction -> which labels reach it with 1.5 cm2 or more."""
    directions = volume.affine[:3, :3] / np.linalg.norm(volume.affine[:3, :3], axis=0)
    found = {}
    for axis in range(3):
        area = volume.voxel_volume_mm3 / volume.spacing_mm[axis]
        patient_axis = int(np.abs(directions[:, axis]).argmax())
        forward = bool(directions[patient_axis, axis] > 0)
        for last, plane in ((False, np.take(labels, 0, axis)), (True, np.take(labels, -1, axis))):
            reached = np.bincount(plane.ravel(), minlength=count) * area >= _CUT_MM2
            found[_DIRECTIONS[patient_axis][int(forward == last)]] = reached
    return found


def _on_cut(segments: Iterable[Segment], counted: dict[int, _Sums]) -> list[str]:
    by_border: dict[str, list[str]] = defaultdict(list)
    for each in segments:
        for border, reached in counted[id(each.voxels)].cut.items():
            if reached[each.value]:
                by_border[border].append(each.label)
    return [f"Cut off at the {border} border of the images, so that the numbers are of the part shown: "
            f"{', '.join(labels)}." for border, labels in by_border.items()]


def _refuse_exchanged(segments: Iterable[Segment], centres: dict[str, NDArray[np.float64]]) -> None:
    sides: dict[tuple[str, str | None], dict[str, Segment]] = defaultdict(dict)
    for each in segments:
        if each.laterality in (LEFT, RIGHT):
            site = each.site.value if each.site else None
            sides[each.type.value, site].setdefault(each.laterality.value, each)
    for pair in sides.values():
        left, right = pair.get(LEFT.value), pair.get(RIGHT.value)
        if left and right and centres[left.key][0] < centres[right.key][0] - _EXCHANGED_MM:
            raise RunFailed(
                f"the model's {left.label} lies to the right of its {right.label}: it exchanges left and right (the "
                "orientation in its model.yaml?), or the images do")


def _on_unusual_sides(segments: Iterable[Segment], centres: dict[str, NDArray[np.float64]]) -> list[str]:
    of = {each.type.value: centres[each.key] for each in segments if each.site is None}
    if _LIVER in of and _SPLEEN in of and of[_LIVER][0] > of[_SPLEEN][0]:
        return ["The liver lies to the left of the spleen: situs inversus, a wrong registration of the patient's "
                "position, or an error of the model. Sides of these results must not be relied on."]
    return []
