"""When a figure has drifted, since when, and when nothing can be said."""

from __future__ import annotations

from datetime import date, timedelta
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radnode.node.monitoring import judging
from radnode.node.monitoring.figures import POSITIVE
from radnode.node.monitoring.judging import Span
from radnode.storage.figures import DayFigure, Summary, merged, summary_of

START = date(2026, 1, 1)
BASELINE = Span(first="2026-01-01", last="2026-01-28")


def day_of(number: int) -> str:
    return (START + timedelta(days=number)).isoformat()


def days(values: dict[int, list[float | str | None]], figure: str = "image/noise") -> list[DayFigure]:
    """Day after the start -> what its jobs gave."""
    return [
        DayFigure(pipeline="ct-lung", version="1", scanner_id=1, figure=figure, day=day_of(number),
                  summary=reduce(merged, (summary_of(number * 1000 + place, value) for place, value in enumerate(each)),
                                 Summary()))
        for number, each in sorted(values.items())
    ]


def noise(mean: float, first: int, last: int, each: int = 5) -> dict[int, list[float | str | None]]:
    random = np.random.default_rng(first)
    return {day: random.normal(mean, 1, each).tolist() for day in range(first, last)}


def judged(found: list[DayFigure], today: int, **more: object) -> judging.Verdict:
    return judging.judge(found, BASELINE, day_of(today), tests=20, looks=30, **more)  # type: ignore[arg-type]


def test_a_figure_that_stays_is_steady_and_one_that_moves_has_drifted_since_its_window() -> None:
    assert judged(days(noise(10, 0, 60)), 59).state == "steady"
    found = judged(days(noise(10, 0, 40) | noise(14, 46, 60)), 59)
    assert (found.state, found.since) == ("drifted", day_of(46))
    assert found.detail["psi"] > 0.25


def test_without_enough_jobs_on_either_side_nothing_is_said() -> None:
    assert judged(days(noise(10, 0, 10) | noise(90, 50, 60)), 59).state == "too few"
    assert judged(days(noise(10, 0, 28) | noise(90, 58, 60)), 59).state == "too few"
    assert judging.judge([], None, day_of(3), tests=1, looks=1).state == "no baseline"


def test_what_has_drifted_stays_so_until_it_is_back() -> None:
    slightly = days(noise(10, 0, 40) | noise(10.7, 46, 60))
    assert judged(slightly, 59).detail["psi"] >= 0.1
    assert judged(slightly, 59, before="2026-02-01").since == "2026-02-01"
    assert judged(days(noise(10, 0, 60)), 59, before="2026-02-01").state == "steady"


def test_a_tag_that_is_no_longer_there_is_a_drift() -> None:
    there: dict[int, list[float | str | None]] = {day: ["B70f"] * 5 for day in range(40)}
    gone: dict[int, list[float | str | None]] = {day: [None] * 5 for day in range(40, 60)}
    found = judged(days(there | gone, "protocol/ConvolutionKernel"), 59)
    assert (found.state, found.since) == ("drifted", day_of(40))


def test_another_word_has_drifted_since_it_came_first_also_before_the_window() -> None:
    before: dict[int, list[float | str | None]] = {day: ["B70f"] * 5 for day in range(38)}
    after: dict[int, list[float | str | None]] = {day: ["B70f", *["Br64d"] * 4] for day in range(38, 80)}
    assert judged(days(before | after, "protocol/ConvolutionKernel"), 79).since == day_of(38)


def test_a_rate_that_doubles_has_drifted_since_about_that_day() -> None:
    random = np.random.default_rng(2)

    def said(rate: float, first: int, last: int) -> dict[int, list[float | str | None]]:
        return {day: ["yes" if hit else "no" for hit in random.random(8) < rate] for day in range(first, last)}

    assert judged(days(said(0.2, 0, 120), POSITIVE), 119).state == "steady"
    found = judged(days(said(0.2, 0, 60) | said(0.5, 60, 90), POSITIVE), 89)
    assert found.state == "drifted"
    assert day_of(55) <= found.since <= day_of(66)
    assert found.detail["rising"] is True


def test_the_baseline_is_the_first_four_weeks_or_as_long_as_it_takes_to_have_enough_jobs() -> None:
    assert judging.baseline_of([(day_of(number), 10) for number in range(20)], None) is None
    assert judging.baseline_of([(day_of(number), 10) for number in range(60)], None) == BASELINE
    slow = judging.baseline_of([(day_of(number), 1) for number in range(100)], None)
    assert slow == Span(first=day_of(0), last=day_of(59))
    chosen = Span(first="2025-01-01", last="2025-02-01")
    assert judging.baseline_of([], chosen) == chosen


@given(st.lists(st.tuples(st.integers(1, 10**6), st.one_of(st.none(), st.floats(-1e9, 1e9))), max_size=120,
                unique_by=lambda each: each[0]), st.randoms())
def test_the_figures_of_a_day_do_not_depend_on_the_order_of_its_jobs(
    jobs: list[tuple[int, float | None]], random: object
) -> None:
    one = reduce(merged, (summary_of(*each) for each in jobs), Summary())
    random.shuffle(jobs)  # type: ignore[attr-defined]
    other = reduce(merged, (summary_of(*each) for each in jobs), Summary())
    assert (one.number, one.missing, one.sample, one.low, one.high) == (
        other.number, other.missing, other.sample, other.low, other.high)
    assert one.mean == pytest.approx(other.mean, abs=1e-3)
    assert one.number + one.missing == len(jobs)
