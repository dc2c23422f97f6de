"""Right against left: what was added to one breast is said of that breast, at its place, and of no other."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support import mammography as mammo

from radnode.pipelines.mg_cad import remarks
from radnode.pipelines.mg_cad.breast import find_breast
from radnode.pipelines.mg_cad.comparison import Compared, compared
from radnode.pipelines.mg_cad.phantom import screening
from radnode.pipelines.mg_cad.pipeline import MgCad

if TYPE_CHECKING:
    from radnode.pipelines.geometry import Projection

PIXEL_MM, WIDE_MM = 0.4, 12.0
# Of what is added: depth from the chest wall, and above the nipple, millimetres.
DEPTH_MM, ABOVE_MM = 40.0, 20.0


@lru_cache(maxsize=2)
def alike(view: str) -> dict[str, Projection]:
    """A left breast, and its mirror image with other noise as the right one."""
    phantom = screening(11, pixel_mm=PIXEL_MM, density=0.2, lesions=False)
    left, right = (mammo.projection(phantom, (side, view)) for side in "LR")
    noise = np.random.default_rng(1).normal(0, 10, left.shape).astype(np.float32)
    return {"L": left, "R": replace(right, pixels=np.ascontiguousarray(left.pixels[:, ::-1]) + noise)}


def denser(view: str, side: str) -> dict[str, Projection]:
    """The same with a dense area in one breast."""
    images = alike(view)
    left = images["L"]
    _, nipple = find_breast(left).nipple
    breast = find_breast(left)
    down = nipple + breast.origin[1] * breast.pixel_mm - ABOVE_MM
    y, x = ((np.arange(size) + 0.5) * PIXEL_MM for size in left.shape)
    added = 900 * np.exp(-0.5 * (((x - DEPTH_MM) / WIDE_MM) ** 2 + ((y[:, np.newaxis] - down) / WIDE_MM) ** 2))
    pixels = images[side].pixels + (added if side == "L" else added[:, ::-1]).astype(np.float32)
    return {**images, side: replace(images[side], pixels=pixels)}


def of(images: dict[str, Projection]) -> tuple[list[Compared], list[str]]:
    return compared([find_breast(each) for each in images.values()], list(images.values()))


@pytest.mark.parametrize("view", ["CC", "MLO"])
def test_a_breast_and_its_mirror_image_are_alike(view: str) -> None:
    ((found,), _) = of(alike(view))
    assert found.shares["R"] == pytest.approx(found.shares["L"], abs=0.03)
    assert found.region is None
    assert "No area of 1 cm2 or more is clearly denser" in remarks.on_comparison(found)


@pytest.mark.parametrize("view", ["CC", "MLO"])
@pytest.mark.parametrize("side", ["R", "L"])
def test_a_dense_area_in_one_breast_is_said_of_that_breast_at_its_place(side: str, view: str) -> None:
    ((found,), _) = of(denser(view, side))
    nipple_depth = find_breast(alike(view)["L"]).nipple[0]
    region = found.region
    assert region is not None
    assert region.side == side
    assert region.behind_mm == pytest.approx(nipple_depth - DEPTH_MM, abs=6)
    assert region.above_mm == pytest.approx(ABOVE_MM, abs=6)
    assert 200 < region.area_mm2 < 1500
    half = "lateral" if view == "CC" else "upper"
    word = {"R": "right", "L": "left"}[side]
    said = remarks.on_comparison(found)
    assert f"lies in the {word} breast" in said
    assert f"in the {half} half" in said


def test_what_lies_the_other_way_round_by_its_tags_is_not_compared() -> None:
    images = denser("CC", "R")
    turned = replace(images["R"], orientation=("P", "R"))
    for other in (turned, replace(images["R"], orientation=("P", ""))):
        found, said = of({**images, "R": other})
        assert not found
        assert said == ["Right and left CC were not compared: Patient Orientation does not say that both lie with the "
                        "lateral half above."]


def test_the_comparison_is_words_in_the_result_and_never_a_mark() -> None:
    phantom = screening(11, pixel_mm=0.2, density=0.2, lesions=False)
    found = MgCad(detectors=()).run(mammo.study(phantom), mammo.CONTEXT)
    assert not found.detections
    assert sum("compared (mirrored" in each for each in found.remarks) == 2
