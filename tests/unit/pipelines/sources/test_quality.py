"""Metal and a body that is cut off are said of a CT; a table, dense bone and one cut slice are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from radnode.pipelines.sources.quality import judge_ct

if TYPE_CHECKING:
    from numpy.typing import NDArray

MM = 2.0
SHAPE = (10, 150, 150)


def body(*, wide_mm: float = 240.0, off_mm: float = 0.0) -> NDArray[np.float32]:
    """An ellipse of tissue in air, on a table of 3 mm that is wider than the field of view; slices alike."""
    y, x = np.ogrid[: SHAPE[1], : SHAPE[2]]
    across, down = (x - SHAPE[2] / 2) * MM - off_mm, (y - SHAPE[1] / 2) * MM
    hu = np.where((across / (wide_mm / 2)) ** 2 + (down / 80) ** 2 < 1, 40.0, -1000.0)
    hu[round((SHAPE[1] / 2) + 84 / MM):][:2] = 60.0
    return np.broadcast_to(hu, SHAPE).astype(np.float32)


def said(hu: NDArray[np.float32], valid: NDArray[np.bool_] | None = None) -> list[str]:
    return judge_ct(hu, np.ones(SHAPE, np.bool_) if valid is None else valid, (MM, MM))


def test_a_body_within_the_field_of_view_and_dense_bone_are_not_worth_a_word() -> None:
    hu = body()
    hu[:, 70:80, 70:80] = 2200.0
    hu[3, 70, 70] = 3071.0
    assert said(hu) == []


def test_metal_is_said_with_the_slices_that_it_is_in() -> None:
    hu = body()
    hu[3:5, 70:74, 70:74] = 3071.0
    (sentence,) = said(hu)
    assert sentence.startswith("Slices 4, 5 with metal, contrast medium in a vein or something else as dense (3000 HU")


@pytest.mark.parametrize("how", [{"wide_mm": 340.0}, {"off_mm": 60.0}], ids=["large", "off the middle"])
def test_a_body_that_the_images_cut_off_is_said_with_how_much_of_the_border_it_takes(how: dict[str, float]) -> None:
    (sentence,) = said(body(**how))
    assert sentence.startswith("The body is cut off by the field of view in about 100% of the slices (up to ")


def test_the_border_is_that_of_what_was_measured_and_not_of_the_padding_around_it() -> None:
    y, x = np.ogrid[: SHAPE[1], : SHAPE[2]]
    small = np.broadcast_to((x - 75) ** 2 + (y - 75) ** 2 < (100 / MM) ** 2, SHAPE)
    padded = np.where(small, body(), np.float32(-2000))
    (sentence,) = said(padded, small)
    assert "cut off by the field of view" in sentence


def test_one_slice_at_the_shoulders_is_no_truncated_series() -> None:
    hu = np.concatenate([body()] * 3)
    hu[0] = body(wide_mm=340.0)[0]
    assert judge_ct(hu, np.ones(hu.shape, np.bool_), (MM, MM)) == []
