"""Size categories of Lung-RADS v2022 at their limits."""

from __future__ import annotations

import numpy as np
import pytest

from radnode.pipelines.ct_nodule.grids import Grid
from radnode.pipelines.ct_nodule.lung_rads import sentence, size_category
from radnode.pipelines.ct_nodule.measures import Kind, Nodule


def nodule(mean_mm: float, kind: Kind, solid_mm: float | None = None, hu: float = 20.0) -> Nodule:
    return Nodule(
        grid=Grid(origin_lps=(0, 0, 0), mm=1, shape=(1, 1, 1)), mask=np.ones((1, 1, 1), np.bool_),
        center_lps=(0, 0, 0), long_mm=mean_mm, short_mm=mean_mm, ends_lps=np.zeros((2, 3)), volume_mm3=1.0,
        mean_hu=hu, kind=kind, solid_mm=solid_mm,
    )


@pytest.mark.parametrize(("mean_mm", "kind", "solid_mm", "category"), [
    (5.94, Kind.SOLID, None, "2"), (5.96, Kind.SOLID, None, "3"), (7.94, Kind.SOLID, None, "3"),
    (8.0, Kind.SOLID, None, "4A"), (14.9, Kind.SOLID, None, "4A"), (15.0, Kind.SOLID, None, "4B"),
    (5.9, Kind.PART_SOLID, 3.0, "2"), (6.0, Kind.PART_SOLID, 3.0, "3"), (20.0, Kind.PART_SOLID, 6.0, "4A"),
    (20.0, Kind.PART_SOLID, 8.0, "4B"), (29.9, Kind.GROUND_GLASS, None, "2"), (30.0, Kind.GROUND_GLASS, None, "3"),
])
def test_the_category_changes_at_the_limits_of_the_rule(
    mean_mm: float, kind: Kind, solid_mm: float | None, category: str
) -> None:
    found = size_category(nodule(mean_mm, kind, solid_mm))
    assert found is not None
    assert found[0] == category


def test_what_is_unknown_or_may_be_calcified_has_no_category() -> None:
    assert size_category(nodule(9.0, Kind.UNKNOWN)) is None
    assert size_category(nodule(9.0, Kind.SOLID, hu=400.0)) is None
    assert "no Lung-RADS size category" in sentence("Nodule 1", nodule(9.0, Kind.UNKNOWN))
