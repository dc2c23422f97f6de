"""Detections against marks, against counts made by hand."""

from __future__ import annotations

import pytest

from radnode.pipelines.evaluation import marks
from radnode.pipelines.evaluation.truth import Mark
from radnode.pipelines.findings import Code, Detection, InPatient, OnImage

NODULE = Code("27925004", "SCT", "Nodule")


def _detection(x: float, certainty: float | None, key: str = "") -> Detection:
    return Detection(key=key or f"{x}-{certainty}", label="Nodule", type=NODULE, at=InPatient(center_lps=(x, 0.0, 0.0)),
                     certainty=certainty)


def _mark(x: float, radius: float | None = 5.0, label: str = "") -> Mark:
    return Mark(at=InPatient(center_lps=(x, 0.0, 0.0)), radius=radius, label=label)


def test_a_detection_hits_within_the_radius_and_not_beyond() -> None:
    assert marks.match([_detection(4.9, 0.5)], [_mark(0.0)]).hits == (0.5,)
    assert marks.match([_detection(5.1, 0.5)], [_mark(0.0)]) == marks.Matched(hits=(), false=(0.5,), missed=1)


def test_a_mark_without_a_size_is_hit_within_the_stated_distance() -> None:
    assert marks.match([_detection(marks.REACH_MM, 0.5)], [_mark(0.0, None)]).hits == (0.5,)
    assert marks.match([_detection(marks.REACH_MM + 0.1, 0.5)], [_mark(0.0, None)]).missed == 1


def test_one_mark_counts_for_one_detection_and_the_most_certain_comes_first() -> None:
    found = marks.match([_detection(1.0, 0.3), _detection(-2.0, 0.9), _detection(0.0, None)], [_mark(0.0)])
    assert found == marks.Matched(hits=(0.9,), false=(0.3, None), missed=0)


def test_of_two_marks_in_reach_the_nearer_one_is_hit() -> None:
    found = marks.match([_detection(3.0, 0.9), _detection(-1.0, 0.8)], [_mark(0.0), _mark(4.0)])
    assert found == marks.Matched(hits=(0.9, 0.8), false=(), missed=0)


def test_a_mark_on_another_image_or_frame_is_not_hit() -> None:
    detection = Detection(key="a", label="Mass", type=NODULE, certainty=0.5,
                          at=OnImage(sop_instance_uid="1.2", center=(10.0, 20.0), frame_number=2))
    for uid, frame, hits in (("1.2", 2, 1), ("1.2", 1, 0), ("1.3", 2, 0)):
        there = Mark(at=OnImage(sop_instance_uid=uid, center=(12.0, 20.0), frame_number=frame), radius=3.0)
        assert len(marks.match([detection], [there]).hits) == hits
    assert marks.match([detection], [_mark(10.0)]).missed == 1


def test_sensitivity_precision_and_f1_are_of_all_cases_together() -> None:
    cases = [marks.Matched(hits=(0.9, 0.4), false=(0.8,), missed=1), marks.Matched(hits=(), false=(0.2, 0.1), missed=1)]
    assert marks.sensitivity(cases) == 2 / 4
    assert marks.precision(cases) == 2 / 5
    assert marks.f1(cases) == pytest.approx(4 / 9)
    assert marks.false_a_case(cases) == 3 / 2


def test_what_no_mark_or_no_detection_defines_is_not_defined() -> None:
    quiet = [marks.Matched(hits=(), false=(), missed=0)]
    assert marks.sensitivity(quiet) is None
    assert marks.precision(quiet) is None
    assert marks.f1(quiet) is None
    assert marks.froc(quiet) is None


def test_froc_counts_every_threshold_the_lowest_too() -> None:
    """By hand, two cases and four marks: .9 hit, .8 false, .7 hit, .6 false, .5 hit; one mark is never hit."""
    cases = [marks.Matched(hits=(0.9, 0.5), false=(0.8,), missed=1), marks.Matched(hits=(0.7,), false=(0.6,), missed=0)]
    curve = marks.froc(cases)
    assert curve is not None
    assert list(zip(curve.false_marks, curve.sensitivity, strict=True)) == [
        (0.0, 0.0), (0.0, 0.25), (0.5, 0.25), (0.5, 0.5), (1.0, 0.5), (1.0, 0.75)]
    expected = dict(zip(marks.OPERATING_POINTS, (0.25, 0.25, 0.5, 0.75, 0.75, 0.75, 0.75), strict=True))
    assert {rate: curve.at(rate) for rate in marks.OPERATING_POINTS} == expected
    assert {rate: marks.sensitivity_at(cases, rate) for rate in marks.OPERATING_POINTS} == expected


def test_a_hit_as_certain_as_a_false_mark_does_not_come_before_it() -> None:
    cases = [marks.Matched(hits=(0.9, 0.5), false=(0.5,), missed=0)]
    curve = marks.froc(cases)
    assert curve is not None
    assert curve.at(0.5) == marks.sensitivity_at(cases, 0.5) == 0.5
    assert curve.at(1.0) == marks.sensitivity_at(cases, 1.0) == 1.0


def test_there_is_no_froc_where_a_detection_does_not_say_how_certain_it_is() -> None:
    assert marks.froc([marks.Matched(hits=(0.9,), false=(None,), missed=0)]) is None


def test_a_labelled_mark_is_about_detections_of_that_name() -> None:
    found = [_detection(0.0, 0.9)]
    assert marks.of_label(found, "nodule") == found
    assert marks.of_label(found, "mass") == []
    assert marks.of_label(found, "") == found
