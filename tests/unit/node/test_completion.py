"""A series is complete by evidence, and the evidence is named."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radnode.node.completion import Policy, SeriesEvidence, Verdict, expected_count, judge
from radnode.node.series_geometry import NOTHING, Geometry

POLICY = Policy(quiet=timedelta(seconds=30), settle=timedelta(seconds=1), hold_after=timedelta(seconds=120))
STACK = Geometry(slices=300, regular=True, gaps=(), duplicates=0, numbers_contiguous=True)
GAP = replace(STACK, regular=False, gaps=(12.5,), numbers_contiguous=False)
SERIES = SeriesEvidence(
    received=300,
    unindexed=0,
    unreadable=0,
    associations_open=0,
    associations_seen=1,
    expected_by_tags=None,
    queried_count=None,
    find_available=False,
    geometry=STACK,
)


def after(seconds: float, **changes: object) -> Verdict:
    return judge(replace(SERIES, **changes), POLICY, timedelta(seconds=seconds))


def kinds(verdict: Verdict) -> list[str]:
    return [ground.kind for ground in verdict.grounds]


@pytest.mark.catalogue("G2", "S15")
def test_the_count_of_the_source_completes_at_once() -> None:
    verdict = after(0, queried_count=300, find_available=True)

    assert verdict.decision == "complete"
    assert kinds(verdict)[0] == "count at the source"


@pytest.mark.catalogue("G2")
def test_a_released_regular_stack_is_complete_after_it_has_settled_and_says_that_ends_are_unproven() -> None:
    assert after(0.5).decision == "wait"
    verdict = after(1.0)
    assert verdict.decision == "complete"
    assert kinds(verdict) == ["geometry", "associations", "ends"]


def test_an_open_association_may_still_bring_more() -> None:
    assert after(5, associations_open=1).decision == "wait"
    assert after(30, associations_open=1).decision == "complete"


def test_the_count_is_given_a_chance_before_the_geometry_decides() -> None:
    assert after(2, find_available=True).decision == "wait"
    assert after(6, find_available=True).decision == "complete"


@pytest.mark.catalogue("A18", "S2")
def test_one_association_for_each_image_is_not_taken_for_a_whole_stack() -> None:
    assert after(5, associations_seen=40).decision == "wait"
    assert kinds(after(30, associations_seen=40))[0] == "quiet time"


def test_images_that_announce_their_number_are_believed_when_it_is_reached() -> None:
    projections = {"geometry": NOTHING, "received": 4}
    assert after(1, expected_by_tags=4, **projections).decision == "complete"
    assert after(1, expected_by_tags=5, **projections).decision == "wait"
    assert after(30, expected_by_tags=5, **projections).decision == "complete"


def test_images_that_announce_more_keep_the_stack_waiting_and_are_named_in_the_end() -> None:
    assert after(29, expected_by_tags=301).decision == "wait"
    verdict = after(30, expected_by_tags=301)
    announced = next(ground for ground in verdict.grounds if ground.kind == "count in the images")
    assert verdict.decision == "complete"
    assert announced.text == "300 received, the images announce 301"
    assert announced.holds is False


def test_an_idle_association_is_not_called_released() -> None:
    verdict = after(30, associations_open=1)
    (association,) = (ground for ground in verdict.grounds if ground.kind == "associations")
    assert association.text == "1 of 1 associations open, but idle"
    assert association.holds is None


def test_a_count_of_one_acquisition_is_not_believed_between_associations_for_each_image() -> None:
    assert after(5, expected_by_tags=300, associations_seen=40).decision == "wait"
    assert after(30, expected_by_tags=300, associations_seen=40).decision == "complete"


@pytest.mark.parametrize(
    "doubt",
    [{"duplicates": 1}, {"numbers_contiguous": False}, {"numbers_contiguous": None}, {"slices": 7}, {"regular": False}],
    ids=["more images at one position", "a hole in the numbers", "no numbers", "few", "unequal"],
)
def test_a_stack_with_a_doubt_waits_for_the_quiet_time(doubt: dict[str, object]) -> None:
    geometry = replace(STACK, **doubt)

    assert after(29, geometry=geometry).decision == "wait"
    assert kinds(after(30, geometry=geometry))[0] == "quiet time"


def test_a_doubt_that_does_not_block_is_said() -> None:
    verdict = after(30, geometry=replace(STACK, regular=False, duplicates=10, numbers_contiguous=False))

    assert kinds(verdict) == ["quiet time", "geometry", "instance numbers", "ends"]
    assert verdict.grounds[1].text == "300 slices at unequal steps, 10 more at the same positions"


@pytest.mark.catalogue("D22")
def test_an_image_without_pixels_is_waited_for_and_held() -> None:
    blank = replace(STACK, without_pixels=2)

    assert after(149, geometry=blank, queried_count=301).decision == "wait"
    assert after(150, geometry=blank).reason == "2 images have no pixels; have the source send them again"


def test_a_thousand_gaps_are_named_by_the_first_ten() -> None:
    gaps = tuple(float(number) for number in range(1000))

    assert after(150, geometry=replace(GAP, gaps=gaps)).reason == (
        "1000 or more slices are missing inside the stack, at 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, … mm along its normal"
    )


def test_projections_wait_for_the_quiet_time() -> None:
    assert after(29, geometry=NOTHING).decision == "wait"
    assert kinds(after(30, geometry=NOTHING))[0] == "quiet time"


@pytest.mark.catalogue("G1")
def test_a_gap_is_held_with_its_position_and_never_completed() -> None:
    assert after(149, geometry=GAP).decision == "wait"
    verdict = after(150, geometry=GAP)
    assert verdict.decision == "hold"
    assert "12.5 mm" in verdict.reason


@pytest.mark.catalogue("G1")
def test_a_gap_that_the_source_has_as_well_is_held_after_the_quiet_time() -> None:
    assert after(30, geometry=GAP, queried_count=300).decision == "hold"


@pytest.mark.catalogue("S15")
def test_fewer_than_the_source_holds_is_held_with_both_numbers() -> None:
    assert after(149, queried_count=301).decision == "wait"
    assert after(150, queried_count=301).reason == "300 received, the source holds 301"


def test_an_unread_header_makes_every_judgement_wait() -> None:
    assert after(1000, unindexed=1, queried_count=300).decision == "wait"


def test_an_unreadable_instance_is_not_passed_over() -> None:
    assert after(150, unreadable=1, queried_count=300).decision == "hold"


evidence = st.builds(
    SeriesEvidence,
    received=st.integers(1, 500),
    unindexed=st.integers(0, 2),
    unreadable=st.just(0),
    associations_open=st.integers(0, 2),
    associations_seen=st.integers(1, 5),
    expected_by_tags=st.none() | st.integers(1, 500),
    queried_count=st.none() | st.integers(0, 500),
    find_available=st.booleans(),
    geometry=st.sampled_from([STACK, GAP, NOTHING]),
)


@given(evidence, st.floats(0, 10_000))
def test_no_evidence_and_no_time_completes_over_a_gap_or_a_missing_count(series: SeriesEvidence, quiet: float) -> None:
    verdict = judge(series, POLICY, timedelta(seconds=quiet))

    if series.geometry.gaps or (series.queried_count or 0) > series.received:
        assert verdict.decision != "complete"
    if verdict.decision == "complete":
        assert verdict.grounds


@given(evidence)
def test_every_series_is_decided_in_the_end(series: SeriesEvidence) -> None:
    settled = replace(series, unindexed=0)

    assert judge(settled, POLICY, timedelta(hours=1)).decision != "wait"


@given(evidence, st.floats(0, 200))
def test_a_wait_says_when_to_look_again(series: SeriesEvidence, quiet: float) -> None:
    verdict = judge(replace(series, unindexed=0), POLICY, timedelta(seconds=quiet))

    if verdict.decision == "wait":
        assert verdict.look_again_in is not None
        assert verdict.look_again_in > timedelta(0)


@pytest.mark.parametrize(
    ("announced", "expected"),
    [
        ([4, 4], 4),
        ([4, 5], None),
        ([None, 4], None),
        (["x", "x"], None),
        ([[4, 5], [4, 5]], None),
        ([0, 0], None),
        ([], None),
    ],
)
def test_a_number_counts_only_when_all_images_announce_it(announced: list[object], expected: int | None) -> None:
    assert expected_count([{"ImagesInAcquisition": number} for number in announced]) == expected


def test_the_number_of_one_acquisition_counts_for_each_acquisition_of_the_series() -> None:
    headers = [{"ImagesInAcquisition": 50, "AcquisitionNumber": 1 + number // 50} for number in range(60)]

    assert expected_count(headers) == 100


def test_the_number_of_one_acquisition_counts_for_each_temporal_position() -> None:
    assert expected_count([{"ImagesInAcquisition": 20, "NumberOfTemporalPositions": 3}] * 20) == 60


def test_in_pet_the_slices_count_for_each_time_and_elsewhere_say_nothing_alone() -> None:
    slices = {"Modality": "PT", "NumberOfSlices": 47}

    assert expected_count([slices] * 2) == 47
    assert expected_count([{**slices, "NumberOfTimeSlices": 10}] * 2) == 470
    assert expected_count([{**slices, "NumberOfRRIntervals": 2, "NumberOfTimeSlots": 8}] * 2) == 752
    assert expected_count([{**slices, "Modality": "NM"}] * 2) is None


def test_temporal_positions_multiply_the_slices() -> None:
    headers = [{"NumberOfTemporalPositions": 5, "NumberOfSlices": 20}] * 3

    assert expected_count(headers) == 100
    assert expected_count([{"NumberOfTemporalPositions": 5}] * 3) is None
