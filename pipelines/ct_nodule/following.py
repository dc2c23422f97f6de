"""The nodules of these images in earlier ones of the same patient, in words.

Each earlier CT is read as this one is, and its nodules are paired with those of now (:mod:`growth`). One that cannot be
read is a remark, never a reason to refuse this one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines.contract import NotProcessed
from radnode.pipelines.ct_nodule.growth import Compared, Seen, compared, over_lung

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from radnode.pipelines.contract import PriorImages, StudyImages
    from radnode.pipelines.ct_nodule.field import Field
    from radnode.pipelines.ct_nodule.measures import Nodule
    from radnode.pipelines.geometry import Affine

_EVERY = 37  # of the voxels of a lung: some ten thousand points are enough for its middle and extent


def followed(
    images: StudyImages, searched: Sequence[Field], named: Mapping[str, tuple[Field, Nodule]],
    read: Callable[[PriorImages], tuple[Sequence[Field], Sequence[tuple[Field, Nodule]]]],
) -> list[str]:
    """Sentences for each earlier CT, the latest first. named: label -> where and what it is now.

    read: finds lungs and nodules in an earlier CT as in this one; raises NotProcessed.
    """
    said = []
    for prior in images.priors:
        when = prior.study_date.isoformat()
        try:
            fields, nodules = read(prior)
            over = _over(fields, searched)
            now = [_seen(label, field, nodule) for label, (field, nodule) in named.items()]
            before = [_seen(f"nodule {number} then", *each) for number, each in enumerate(nodules, 1)]
            pairs, gone = compared(now, before, over, (prior.study_date, images.study_date or prior.study_date))
        except (NotProcessed, ValueError) as error:
            said.append(f"The CT of {when} was not compared: {error}.")
            continue
        said.append(f"Compared with the CT of {when}, read in the same way: {len(before)} nodules then, {len(now)} "
                    "now.")
        said += [_sentence(each, when) for each in pairs]
        said += [f"A nodule of {when} in the {each.side} lung ({each.volume_mm3:.0f} mm3) has no counterpart now: it "
                 "is gone, or was not found." for each in gone]
    return said


def _over(then: Sequence[Field], now: Sequence[Field]) -> dict[str, Affine]:
    """Side -> map from then to now. Raises ValueError."""
    before = {field.side: field for field in then}
    return {field.side: over_lung(_points(before[field.side]), _points(field)) for field in now if field.side in before}


def _points(field: Field) -> NDArray[np.float64]:
    return field.grid.points(np.argwhere(field.inside)[::_EVERY].astype(np.float64))


def _seen(label: str, field: Field, nodule: Nodule) -> Seen:
    return Seen(tracking_uid="", tracking_id=label, side=field.side, center_lps=nodule.center_lps,
                volume_mm3=nodule.volume_mm3)


def _sentence(pair: Compared, when: str) -> str:
    label, change = pair.now.tracking_id, pair.doubling
    if pair.before is None or change is None:
        return f"{label} was not found in the CT of {when}: it is new, or was missed there."
    sizes = (f"{label}: {pair.before.volume_mm3:.0f} mm3 on {when}, {pair.now.volume_mm3:.0f} mm3 now, {change.days} "
             "days later")
    if change.time_days is None or change.between_days is None:
        return f"{sizes}: no change beyond the error of measurement (25 %)."
    fast, slow = sorted(abs(each) for each in change.between_days)
    what = "volume doubling time" if change.time_days > 0 else "it shrank; time in which the volume halves"
    return (f"{sizes}: {what} {abs(change.time_days):.0f} days ({fast:.0f} to {slow:.0f} within the error of "
            "measurement).")
