"""What the report says of nodules in an earlier CT; one that cannot be read is a remark."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from support import nodules as support

from radnode.pipelines.contract import NotProcessed, PriorImages, StudyImages
from radnode.pipelines.ct_nodule.field import Field
from radnode.pipelines.ct_nodule.following import followed
from radnode.pipelines.ct_nodule.grids import Grid
from radnode.pipelines.ct_nodule.phantom import nodule_phantom

if TYPE_CHECKING:
    from radnode.pipelines.geometry import Volume

THEN, NOW = date(2025, 7, 5), date(2026, 1, 1)
PLACE, MOVED = (-80.0, 10.0, 20.0), (-80.0, 10.0, 120.0)


def lung(up_mm: float) -> Field:
    """A right lung as a box; the patient lies further along the table by `up_mm`."""
    grid = Grid(origin_lps=(-140.0, -60.0, -60.0 + up_mm), mm=4.0, shape=(40, 30, 25))
    inside = np.ones(grid.shape, bool)
    return Field(side="right", grid=grid, hu=np.zeros(grid.shape, np.float32), inside=inside, background_hu=-850.0)


def nodule(center: tuple[float, float, float], volume_mm3: float) -> Any:
    return SimpleNamespace(center_lps=center, volume_mm3=volume_mm3)


def images(volume: Volume, *days: date) -> StudyImages:
    priors = tuple(PriorImages(study_date=each, study_instance_uid="2.25.1", volume=volume) for each in days)
    return StudyImages(volume=volume, modality="CT", excluded={}, study_date=NOW, priors=priors)


def test_growth_a_new_nodule_and_one_that_is_gone_are_said_and_what_cannot_be_read_is_said_too() -> None:
    volume = support.study(nodule_phantom(slices=8, size=16, nodules=())).volume
    then, now = lung(0), lung(100)
    named = {"Nodule 1": (now, nodule(MOVED, 800.0)), "Nodule 2": (now, nodule((-60.0, -30.0, 60.0), 300.0)),
             "Nodule 3": (now, nodule((-120.0, 30.0, 180.0), 210.0))}

    def read(prior: PriorImages) -> Any:
        if prior.study_date != THEN:
            raise NotProcessed("no air-filled lung was found")
        return [then], [(then, nodule(PLACE, 400.0)), (then, nodule((-120.0, 30.0, 80.0), 200.0)),
                        (then, nodule((-50.0, 40.0, -40.0), 150.0))]

    assert followed(images(volume, THEN, date(2024, 1, 1)), [now], named, read) == [
        "Compared with the CT of 2025-07-05, read in the same way: 3 nodules then, 3 now.",
        "Nodule 1: 400 mm3 on 2025-07-05, 800 mm3 now, 180 days later: volume doubling time 180 days (136 to 265 "
        "within the error of measurement).",
        "Nodule 2 was not found in the CT of 2025-07-05: it is new, or was missed there.",
        "Nodule 3: 200 mm3 on 2025-07-05, 210 mm3 now, 180 days later: no change beyond the error of measurement "
        "(25 %).",
        "A nodule of 2025-07-05 in the right lung (150 mm3) has no counterpart now: it is gone, or was not found.",
        "The CT of 2024-01-01 was not compared: no air-filled lung was found.",
    ]
    assert followed(images(volume, NOW), [now], named, lambda _: ([then], [])) == [
        "The CT of 2026-01-01 was not compared: the images are not of a later day: no growth can be said."]
