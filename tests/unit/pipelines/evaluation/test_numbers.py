"""Answers, agreement and intervals, against values worked out by hand or printed in papers."""

from __future__ import annotations

import statistics

import numpy as np
import pytest

from radnode.pipelines.evaluation import answers
from radnode.pipelines.evaluation.agreement import agreement
from radnode.pipelines.evaluation.answers import Judged
from radnode.pipelines.evaluation.intervals import FEWEST, bootstrap, wilson


def _judged(truth: str, answer: str, **scores: float) -> Judged:
    return Judged(truth=truth, answer=answer, scores=scores)


def test_auc_counts_a_tie_as_half() -> None:
    """Of the four pairs of a sick and a healthy case two are in order, one is tied, one is reversed."""
    assert answers.auc([(True, 0.8), (True, 0.4), (False, 0.4), (False, 0.6)]) == pytest.approx(2.5 / 4)
    assert answers.auc([(True, 0.8), (True, 0.4)]) is None


def test_of_two_classes_what_one_has_is_what_the_other_lacks() -> None:
    given = [_judged("present", "absent", absent=0.7), _judged("absent", "present", present=0.6)]
    assert answers.scored(given, "present") == ([True, False], [pytest.approx(0.3), 0.6])


def test_of_three_classes_only_what_was_said_of_a_class_counts_for_it() -> None:
    given = [_judged("a", "a", a=0.7), _judged("b", "c", c=0.6), _judged("c", "c", a=0.1, b=0.2, c=0.7)]
    assert answers.scored(given, "a") == ([True, False], [0.7, 0.1])


def test_a_class_is_counted_against_the_rest() -> None:
    given = [_judged("a", "a"), _judged("a", "b"), _judged("b", "a"), _judged("c", "b"), _judged("c", "c")]
    counted = answers.confusion(given, "a")
    assert (counted.true_positive, counted.false_negative) == (1, 1)
    assert (counted.false_positive, counted.true_negative) == (1, 2)
    assert answers.f1(given, "a") == 0.5
    assert answers.f1(given, "d") is None


def test_calibration_weighs_each_bin_by_its_answers() -> None:
    found = answers.calibration([True, True, True, False, False], [0.95, 0.95, 0.95, 0.95, 0.15])
    assert found is not None
    assert found.n == (1, 4)
    assert found.said == pytest.approx((0.15, 0.95))
    assert found.true == (0.0, 0.75)
    assert found.ece == pytest.approx((4 * 0.2 + 0.15) / 5)
    assert found.brier == pytest.approx((3 * 0.05**2 + 0.95**2 + 0.15**2) / 5)


def test_agreement_is_that_of_the_formulas_of_bland_and_altman() -> None:
    """Differences 1, 2, 3: mean 2, standard deviation 1; t of two degrees of freedom at 97.5 % is 4.3027."""
    found = agreement([11.0, 22.0, 33.0], [10.0, 20.0, 30.0])
    assert (found.n, found.bias) == (3, 2.0)
    assert (found.low, found.high) == (pytest.approx(0.04), pytest.approx(3.96))
    assert found.bias_interval == pytest.approx((2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), abs=1e-4)
    assert found.high_interval == pytest.approx((3.96 - 4.3027, 3.96 + 4.3027), abs=1e-4)


def test_two_pairs_have_a_bias_and_no_limits() -> None:
    found = agreement([1.0, 2.0], [0.0, 0.0])
    assert (found.bias, found.low, found.high_interval) == (1.5, None, None)


def test_wilson_is_as_newcombe_printed_it() -> None:
    """Newcombe 1998, table I: 81 of 263, 0.2553 to 0.3662; 0 of 20, 0 to 0.1611."""
    found, none = wilson(81, 263), wilson(0, 20)
    assert (round(found.low or 0, 4), round(found.high or 0, 4)) == (0.2553, 0.3662)
    assert (none.value, none.low, round(none.high or 0, 4)) == (0.0, 0.0, 0.1611)
    assert wilson(0, 0).value is None


def test_a_bootstrap_over_few_studies_gives_no_interval() -> None:
    held = {str(number): [float(number)] * 3 for number in range(FEWEST - 1)}
    found = bootstrap(held, statistics.fmean)
    assert (found.value, found.n, found.studies, found.low) == (4.0, 3 * (FEWEST - 1), FEWEST - 1, None)


def test_a_bootstrap_draws_studies_not_values() -> None:
    """Twenty values, each thirty times: as wide as of twenty, not as of six hundred."""
    values = np.linspace(0, 1, 20)
    once = bootstrap({str(number): [float(each)] for number, each in enumerate(values)}, statistics.fmean)
    often = bootstrap({str(number): [float(each)] * 30 for number, each in enumerate(values)}, statistics.fmean)
    assert once.low is not None
    assert (often.low, often.high) == (pytest.approx(once.low), pytest.approx(once.high))
    assert once.high - once.low == pytest.approx(2 * 1.96 * values.std() / 20**0.5, rel=0.1)


def test_draws_in_which_a_number_is_not_defined_do_not_pass_for_an_interval() -> None:
    held = {str(number): [number == 0] for number in range(12)}
    found = bootstrap(held, lambda each: 1.0 if any(each) else None)
    assert (found.value, found.low) == (1.0, None)
