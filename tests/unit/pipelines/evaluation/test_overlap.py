"""Overlap of two masks, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from radnode.pipelines.evaluation.overlap import compare, shares

SPACING = (3.0, 0.5, 0.5)


def _affine(spacing: tuple[float, float, float]) -> np.ndarray:
    return np.diag([*spacing, 1.0])


def _box(low: tuple[int, int, int], high: tuple[int, int, int]) -> np.ndarray:
    mask = np.zeros((12, 12, 12), dtype=bool)
    mask[low[0]:high[0], low[1]:high[1], low[2]:high[2]] = True
    return mask


def test_half_of_a_box_that_overlaps_gives_dice_one_half_and_iou_one_third() -> None:
    found = compare(_box((2, 2, 2), (6, 6, 6)), _box((2, 2, 4), (6, 6, 8)), _affine(SPACING))
    assert found.dice == pytest.approx(0.5)
    assert found.iou == pytest.approx(1 / 3)
    assert found.found_ml == found.reference_ml == pytest.approx(64 * 0.75 / 1000)


def test_the_same_mask_has_dice_one_and_no_distance() -> None:
    found = compare(_box((2, 2, 2), (6, 6, 6)), _box((2, 2, 2), (6, 6, 6)), _affine(SPACING))
    assert (found.dice, found.iou, found.hd95_mm, found.assd_mm, found.undefined) == (1.0, 1.0, 0.0, 0.0, "")


@pytest.mark.parametrize(("axis", "expected"), [(0, 6.0), (1, 1.0), (2, 1.0)])
def test_distances_follow_the_spacing_of_each_axis(axis: int, expected: float) -> None:
    """A plane moved by two voxels is everywhere as far away as two voxels of that axis are."""
    one, two = (np.zeros((12, 12, 12), dtype=bool) for _ in range(2))
    one[tuple(4 if each == axis else slice(None) for each in range(3))] = True
    two[tuple(6 if each == axis else slice(None) for each in range(3))] = True
    found = compare(one, two, _affine(SPACING))
    assert found.hd95_mm == found.assd_mm == pytest.approx(expected)


def test_a_sphere_around_a_smaller_one_is_away_by_the_difference_of_their_radii() -> None:
    place = np.stack(np.meshgrid(*[np.arange(41) - 20.0] * 3, indexing="ij"))
    away = np.linalg.norm(place, axis=0)
    found = compare(away <= 15, away <= 10, _affine((1.0, 1.0, 1.0)))
    assert found.hd95_mm == pytest.approx(5, abs=0.8)
    assert found.assd_mm == pytest.approx(5, abs=0.4)
    assert found.dice == pytest.approx(2 * 10**3 / (15**3 + 10**3), abs=0.01)


def test_what_lies_only_in_one_direction_counts_in_both() -> None:
    """A single voxel far off: the 95th percentile leaves it out, the mean takes its share of all border voxels."""
    reference = _box((3, 0, 0), (4, 12, 10))
    with_island = reference | _box((9, 0, 0), (10, 1, 1))
    found = compare(with_island, reference, _affine((1.0, 1.0, 1.0)))
    assert found.hd95_mm == 0.0
    assert found.assd_mm == pytest.approx(6 / (120 + 121))


@pytest.mark.parametrize(("found_there", "undefined"), [(False, "nothing was found"), (True, "the reference is empty")])
def test_one_empty_mask_gives_no_distance_and_no_overlap(found_there: bool, undefined: str) -> None:
    box, empty = _box((2, 2, 2), (6, 6, 6)), _box((0, 0, 0), (0, 0, 0))
    found = compare(*((box, empty) if found_there else (empty, box)), _affine(SPACING))
    assert (found.dice, found.iou, found.hd95_mm, found.assd_mm) == (0.0, 0.0, None, None)
    assert found.undefined == undefined


def test_two_empty_masks_are_neither_right_nor_wrong() -> None:
    empty = _box((0, 0, 0), (0, 0, 0))
    found = compare(empty, empty, _affine(SPACING))
    assert (found.dice, found.iou, found.hd95_mm, found.assd_mm) == (None, None, None, None)
    assert found.undefined == "both are empty"


def test_on_a_sheared_grid_no_distance_is_given() -> None:
    sheared = _affine((1.0, 1.0, 1.0))
    sheared[1, 0] = 0.3
    found = compare(_box((2, 2, 2), (6, 6, 6)), _box((2, 2, 3), (6, 6, 7)), sheared)
    assert found.dice == pytest.approx(0.75)
    assert (found.hd95_mm, found.undefined) == (None, "the grid is sheared")


def test_masks_of_two_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes"):
        compare(np.zeros((2, 3, 4), dtype=bool), np.zeros((2, 3, 5), dtype=bool), _affine(SPACING))


@pytest.mark.parametrize("other", [((2, 2, 4), (6, 6, 8)), ((2, 2, 2), (6, 6, 6)), ((8, 8, 8), (9, 9, 9))])
def test_shares_alone_are_those_of_the_whole_comparison(
    other: tuple[tuple[int, int, int], tuple[int, int, int]]
) -> None:
    one, two = _box((2, 2, 2), (6, 6, 6)), _box(*other)
    whole, alone = compare(one, two, _affine(SPACING)), shares(one, two, _affine(SPACING))
    assert (alone.dice, alone.iou) == (pytest.approx(whole.dice), pytest.approx(whole.iou))
    assert (alone.found_ml, alone.reference_ml) == (whole.found_ml, whole.reference_ml)
    assert (alone.hd95_mm, alone.assd_mm) == (None, None)


def test_shares_of_nothing_are_not_defined() -> None:
    nothing = np.zeros((3, 3, 3), dtype=bool)
    assert shares(nothing, nothing, _affine(SPACING)).dice is None
