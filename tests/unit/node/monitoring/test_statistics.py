"""What the methods of drift promise."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from radnode.node.monitoring import statistics
from radnode.pipelines.evaluation import intervals

COUNTS = st.lists(st.integers(0, 500), min_size=1, max_size=12)
SAMPLES = st.lists(st.integers(-1000, 1000).map(float), min_size=1, max_size=80)


@given(COUNTS)
def test_the_index_of_the_same_shares_is_nothing(counts: list[int]) -> None:
    assert statistics.stability(counts, counts) == pytest.approx(0, abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=12))
def test_the_index_is_never_negative_and_the_same_either_way(counts: list[tuple[int, int]]) -> None:
    one, two = [list(each) for each in zip(*counts, strict=True)]
    assert statistics.stability(one, two) >= -1e-12
    assert statistics.stability(one, two) == pytest.approx(statistics.stability(two, one), rel=1e-9, abs=1e-12)


@given(SAMPLES)
def test_a_sample_does_not_differ_from_itself(sample: list[float]) -> None:
    found = statistics.numbers(sample, sample)
    assert found.psi == pytest.approx(0, abs=1e-9)
    assert found.p == pytest.approx(1)


@given(SAMPLES, st.floats(0.01, 100))
def test_a_change_of_the_unit_changes_nothing(sample: list[float], factor: float) -> None:
    """Milliseconds for seconds; both samples alike."""
    other = [value + 1.5 for value in sample[::-1]]
    before, exact = statistics.numbers(sample, other), 2.0 ** round(math.log2(factor))
    after = statistics.numbers([value * exact for value in sample], [value * exact for value in other])
    assert after.psi == pytest.approx(before.psi, abs=1e-9)


def test_a_shift_by_a_standard_deviation_is_seen_and_a_tenth_of_one_is_not() -> None:
    random = np.random.default_rng(3)
    baseline = random.normal(0, 1, 300).tolist()
    far = statistics.numbers(baseline, random.normal(1, 1, 200).tolist())
    near = statistics.numbers(baseline, random.normal(0.1, 1, 200).tolist())
    assert (far.psi >= statistics.UNLIKE, far.p < 1e-6) == (True, True)
    assert near.psi < statistics.UNLIKE


def test_a_value_that_was_always_the_same_and_no_more_is_a_change_either_way() -> None:
    for other in (2.5, 0.6):
        found = statistics.numbers([1.25] * 100, [other] * 40)
        assert found.psi > 1
        assert found.p < 1e-9


def test_a_kernel_that_was_never_there_is_a_change() -> None:
    found = statistics.words({"B70f": 200}, {"Br64d": 40})
    assert found.psi > 1
    assert found.p < 1e-9


@given(st.integers(1, 200), st.integers(1, 3000))
def test_all_looks_together_never_spend_more_than_alpha(tests: int, looks: int) -> None:
    spent = math.fsum(statistics.level(tests, look) * tests for look in range(1, looks + 1))
    assert spent <= statistics.ALPHA


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.floats(0.02, 0.6))
def test_a_rate_that_stays_is_no_change_over_years(seed: int, rate: float) -> None:
    """A false alarm in 100,000 jobs at most; here are 4,000, forty times."""
    random = np.random.default_rng(seed)
    cases = random.integers(1, 20, 400)
    found = statistics.change((round(1000 * rate), 1000), zip(random.binomial(cases, rate), cases, strict=True))
    assert found.score < statistics.threshold(1)


@pytest.mark.parametrize(("before", "after", "rising"), [(0.2, 0.45, True), (0.5, 0.15, False)])
def test_a_rate_that_changes_is_seen_and_when(before: float, after: float, rising: bool) -> None:
    random = np.random.default_rng(11)
    days = [(int(random.binomial(10, before if day < 40 else after)), 10) for day in range(70)]
    found = statistics.change((round(400 * before), 400), days)
    assert found.score > statistics.threshold(2)
    assert found.rising is rising
    assert found.since is not None
    assert 35 <= found.since <= 46


def test_a_rate_without_a_baseline_says_nothing() -> None:
    assert statistics.change((0, 0), [(5, 10)]).score == 0


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60))
def test_kappa_is_that_of_scikit_learn(said: list[tuple[bool, bool]]) -> None:
    counted = Counter(said)
    found = statistics.kappa(counted[True, True], counted[True, False], counted[False, True], counted[False, False])
    if len(set(said)) == 1 and said[0][0] == said[0][1]:
        assert found is None
    else:
        expected = cohen_kappa_score(*zip(*said, strict=True))
        assert found == pytest.approx(expected)


def test_an_interval_holds_its_share_and_needs_a_case() -> None:
    assert intervals.proportion(0, 0) is None
    low, high = intervals.proportion(8, 10) or (0, 0)
    assert (round(low, 3), round(high, 3)) == (0.49, 0.943)  # Wilson (1927), as R's prop.test without correction
