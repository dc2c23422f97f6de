"""The positions of slices tell what is missing between them."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radnode.node.series_geometry import MOST_GAPS, geometry_of

AXIAL = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
TILTED = [1.0, 0.0, 0.0, 0.0, float(np.cos(0.3)), float(np.sin(0.3))]


def slices(places: list[float], orientation: list[float] = AXIAL) -> list[dict[str, Any]]:
    normal = np.cross(orientation[:3], orientation[3:])
    return [
        {
            "ImagePositionPatient": [float(each) for each in normal * place],
            "ImageOrientationPatient": orientation,
            "Rows": 512,
            "Columns": 512,
            "InstanceNumber": number,
        }
        for number, place in enumerate(places, start=1)
    ]


@pytest.mark.parametrize("orientation", [AXIAL, TILTED], ids=["axial", "oblique"])
def test_a_whole_stack_is_regular_in_any_order(orientation: list[float]) -> None:
    stack = slices([2.5 * number for number in range(20)], orientation)
    random.Random(1).shuffle(stack)

    geometry = geometry_of(stack)

    assert (geometry.slices, geometry.regular, geometry.gaps) == (20, True, ())
    assert geometry.numbers_contiguous


@pytest.mark.catalogue("G1")
@given(st.integers(5, 60), st.data(), st.floats(0.5, 10.0))
def test_every_missing_inner_slice_is_found_at_its_position(count: int, data: st.DataObject, step: float) -> None:
    missing = data.draw(st.integers(1, count - 2))
    places = [step * number for number in range(count) if number != missing]

    geometry = geometry_of(slices(places))

    assert geometry.gaps == pytest.approx((step * missing,), abs=0.01)


def test_S14_a_gap_among_twenty_thousand_slices_is_found() -> None:
    places = [0.5 * number for number in range(20_000) if number != 12_345]
    geometry = geometry_of(slices(places))
    assert geometry.gaps == pytest.approx((0.5 * 12_345,), abs=0.01)


@pytest.mark.catalogue("G2")
def test_a_missing_end_slice_leaves_no_trace() -> None:
    assert geometry_of(slices([float(number) for number in range(19)])).gaps == ()


@pytest.mark.catalogue("G5")
def test_a_localiser_beside_the_stack_does_not_disturb() -> None:
    stack = slices([float(number) for number in range(10)])
    localiser = slices([0.0], [0.0, 1.0, 0.0, 0.0, 0.0, -1.0])

    assert geometry_of([*localiser, *stack]).slices == 10


@pytest.mark.catalogue("G3")
def test_duplicates_are_counted_and_are_no_gap() -> None:
    geometry = geometry_of(slices([0.0, 1.0, 1.0, 2.0, 3.0]))

    assert (geometry.slices, geometry.duplicates, geometry.gaps) == (4, 1, ())


@pytest.mark.catalogue("G7")
def test_a_protocol_with_two_spacings_is_irregular_but_shows_its_double_steps_as_gaps() -> None:
    geometry = geometry_of(slices([0.0, 2.5, 5.0, 7.5, 10.0, 13.4, 16.8]))

    assert geometry.regular is False
    assert geometry.gaps == ()


@pytest.mark.parametrize(
    "headers",
    [[], [{"Modality": "MG"}], [{"ImagePositionPatient": ["x", 0, 0], "ImageOrientationPatient": AXIAL}]],
    ids=["none", "projection", "nonsense"],
)
def test_without_positions_geometry_tells_nothing(headers: list[dict[str, Any]]) -> None:
    assert geometry_of(headers).regular is None


@pytest.mark.catalogue("D18")
@pytest.mark.parametrize(
    "oddity",
    [
        {"InstanceNumber": [1, 2]},
        {"Rows": [512, 512]},
        {"Columns": "many"},
        {"NumberOfFrames": [1, 2]},
        {"ImagePositionPatient": [10**30, 0, 0]},
        {"ImagePositionPatient": [1e308, 1e308, 1e308]},
        {"ImageOrientationPatient": [1e200, 0.0, 0.0, 0.0, 1e200, 0.0]},
        {"ImagePositionPatient": [float("nan"), 0.0, 0.0]},
    ],
    ids=str,
)
def test_one_image_with_an_odd_value_harms_no_judgement(oddity: dict[str, Any]) -> None:
    stack = slices([float(number) for number in range(10)])
    odd = {**stack[0], **oddity}

    assert geometry_of([*stack, odd]).slices == 10
    assert geometry_of([odd] * 3).gaps == ()


def test_multi_frame_images_are_no_stack_of_slices() -> None:
    frames = [{**header, "NumberOfFrames": 30} for header in slices([0.0, 1.0, 2.0, 3.0])]

    assert geometry_of(frames).regular is None


@pytest.mark.catalogue("G8")
@given(st.permutations(slices([0.0, 1.0, 2.0, 2.0, 4.0, 5.0, 6.0])))
def test_the_order_of_arrival_changes_nothing(stack: list[dict[str, Any]]) -> None:
    assert geometry_of(stack) == geometry_of(slices([0.0, 1.0, 2.0, 2.0, 4.0, 5.0, 6.0]))


def test_two_spacings_of_a_protocol_are_no_gap_where_the_instance_numbers_go_on() -> None:
    places = [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0]
    lost = slices(places)
    for header in lost[7:]:
        header["InstanceNumber"] = 2 * header["InstanceNumber"]

    assert (geometry_of(slices(places)).gaps, geometry_of(slices(places)).regular) == ((), False)
    assert geometry_of(slices(places[::-1])).gaps == ()
    assert geometry_of(lost).gaps == (35.0, 45.0, 55.0)
    assert geometry_of(slices([0.0, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0])).gaps == (25.0, 35.0)


def test_a_far_slice_names_no_more_gaps_than_anybody_reads() -> None:
    assert len(geometry_of(slices([0.0, 0.02, 0.04, 0.06, 0.08, 400_000.0, 800_000.0])).gaps) == MOST_GAPS


@pytest.mark.catalogue("D22")
def test_an_image_without_pixels_is_no_slice() -> None:
    stack = slices([float(number) for number in range(10)])
    stack[4]["PixelDataPresent"] = False

    geometry = geometry_of(stack)

    assert (geometry.slices, geometry.gaps, geometry.without_pixels) == (9, (4.0,), 1)
    assert geometry_of([stack[4]]).without_pixels == 1


@pytest.mark.parametrize(
    ("numbers", "contiguous"),
    [([1, 2, 3], True), ([0, 1, 2], True), ([2, 3, 4], False), ([1, 2, 4], False), ([1, 2, None], None)],
    ids=["from one", "from zero", "first missing", "hole", "without"],
)
def test_instance_numbers_run_from_the_first(numbers: list[int | None], contiguous: bool | None) -> None:
    stack = slices([0.0, 1.0, 2.0])
    for header, number in zip(stack, numbers, strict=True):
        header["InstanceNumber"] = number

    assert geometry_of(stack).numbers_contiguous is contiguous


def test_a_localiser_counts_in_the_instance_numbers() -> None:
    localiser = slices([0.0], [0.0, 1.0, 0.0, 0.0, 0.0, -1.0])
    stack = slices([float(number) for number in range(11)])[1:]

    assert geometry_of(stack).numbers_contiguous is False
    assert geometry_of([*localiser, *stack]).numbers_contiguous is True
