"""From the days of a figure to a verdict: against which days, over which days, drifted or not. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Literal

from radnode.node.monitoring import statistics
from radnode.node.monitoring.figures import POSITIVE, REASON, REFUSED
from radnode.storage.figures import OUTCOME
from radnode.storage.figures import pooled as pool

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from radnode.storage.figures import DayFigure, Summary

State = Literal["steady", "drifted", "too few", "no baseline"]

RATES = frozenset({POSITIVE, REFUSED})
"""Watched by cumulative sums, each job as it comes; all others by comparing a window with the baseline."""
SHOWN_ONLY = frozenset({OUTCOME, REASON, "run/seconds", "run/memory"})
"""Listed and drawn, not judged: the first two are in the rates already, the others have reasons beside the pipeline."""
BASELINE_DAYS, BASELINE_JOBS = 28, 60
"""Unless one is configured, a baseline is this long at least, and as long as it takes to have so many jobs."""
WINDOW_DAYS, LONGEST_WINDOW_DAYS, WINDOW_JOBS = 14, 56, 30
"""What is compared with it: two weeks, up to eight until there are so many jobs."""
_AGAIN = 0.05
POOLED = 4000
"""Values of a sample over many days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Days from the first to the last, both counted (YYYY-MM-DD)."""

    first: str
    last: str

    def __contains__(self, day: str) -> bool:
        return self.first <= day <= self.last

    def __str__(self) -> str:
        return f"{self.first}/{self.last}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Of one figure. since: the first day of what is drifted, empty if nothing is. detail: the numbers behind it."""

    state: State
    since: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


def baseline_of(days: Iterable[tuple[str, int]], configured: Span | None) -> Span | None:
    """The days to compare with. days: (day, jobs) of a pipeline on a scanner, in any order.

    configured: what somebody chose; None: the first four weeks, or longer until there were enough jobs. None while
    these have not passed.
    """
    if configured is not None:
        return configured
    jobs: dict[str, int] = {}
    for day, number in days:
        jobs[day] = jobs.get(day, 0) + number
    if not jobs:
        return None
    first, counted = min(jobs), 0
    for day in sorted(jobs):
        counted += jobs[day]
        earliest = (date.fromisoformat(first) + timedelta(days=BASELINE_DAYS - 1)).isoformat()
        if counted >= BASELINE_JOBS and (day >= earliest or max(jobs) > earliest):
            return Span(first=first, last=max(day, earliest))
    return None


def window_of(days: Sequence[DayFigure], baseline: Span, today: str) -> list[DayFigure]:
    """The latest days after the baseline, of one figure: two weeks back from today, or more until there are enough."""
    after = [each for each in days if each.day > baseline.last]
    taken: list[DayFigure] = []
    counted = 0
    for each in sorted(after, key=lambda one: one.day, reverse=True):
        age = (date.fromisoformat(today) - date.fromisoformat(each.day)).days
        if age >= LONGEST_WINDOW_DAYS or (age >= WINDOW_DAYS and counted >= WINDOW_JOBS):
            break
        taken.append(each)
        counted += each.summary.number + each.summary.missing
    return taken[::-1]


def pooled(days: Iterable[DayFigure]) -> Summary:
    """All days together; of each at most :data:`radnode.storage.figures.SAMPLE` values count."""
    return pool((each.summary for each in days), POOLED)


def judge(
    days: Sequence[DayFigure], baseline: Span | None, today: str, *, tests: int, looks: int, before: str = ""
) -> Verdict:
    """A figure of a pipeline on a scanner.

    days: all of its days, by day. tests: how many figures are looked at together. looks: which look at this baseline
    it is, from 1 on. before: since when it was drifted at the last look, empty if it was not: it stays so until the
    index is below :data:`statistics.SHIFTED` or chance alone explains it, lest it come and go.
    """
    if baseline is None:
        return Verdict(state="no baseline", detail={"recent": told(pooled(days[-WINDOW_DAYS:]))} if days else {})
    expected = pooled(each for each in days if each.day in baseline)
    if days and days[0].figure in RATES:
        return _rate(days, expected, baseline, tests)
    window = window_of(days, baseline, today)
    recent = pooled(window)
    detail: dict[str, Any] = {"baseline": told(expected), "recent": told(recent)}
    enough = expected.number + expected.missing >= BASELINE_JOBS and recent.number + recent.missing >= WINDOW_JOBS
    if not enough:
        return Verdict(state="too few", detail=detail)
    found = _difference(expected, recent)
    detail |= {"psi": round(found.psi, 4), "p": found.p}
    drifted = found.psi >= statistics.UNLIKE and found.p < statistics.level(tests, looks)
    if drifted or (before and found.psi >= statistics.SHIFTED and found.p < _AGAIN):
        return Verdict(state="drifted", since=before or _since(days, expected, recent, baseline), detail=detail)
    return Verdict(state="steady", detail=detail)


def told(summary: Summary) -> dict[str, Any]:
    """For a page and a row: what a summary is in a few numbers."""
    found: dict[str, Any] = {"number": summary.number, "missing": summary.missing}
    if summary.words:
        often = sorted(summary.words.items(), key=lambda each: (-each[1], each[0]))
        return {**found, "words": dict(often[:8])}
    if summary.sample:
        values = sorted(summary.values)
        middle = values[len(values) // 2]
        found.update(median=round(middle, 4), low=round(summary.low, 4), high=round(summary.high, 4),
                     mean=round(summary.mean, 4))
    return found


def _difference(expected: Summary, recent: Summary) -> statistics.Difference:
    """Of the values, or of whether there is one, whichever differs more."""
    there = statistics.words({"yes": expected.number, "no": expected.missing},
                             {"yes": recent.number, "no": recent.missing})
    if expected.words or recent.words:
        values = statistics.words(expected.words, recent.words)
    else:
        values = statistics.numbers(expected.values, recent.values)
    return max((there, values), key=lambda each: (each.psi >= statistics.UNLIKE, -each.p))


def _since(days: Sequence[DayFigure], expected: Summary, recent: Summary, baseline: Span) -> str:
    """The day from which on the figure differs most from before: of what moved most, value, word or missing."""
    known = [each for each in days if each.day >= baseline.first]
    word = max(sorted({*expected.words, *recent.words}), default="", key=lambda one: abs(
        recent.words.get(one, 0) / max(recent.number, 1) - expected.words.get(one, 0) / max(expected.number, 1)))
    lacking = statistics.words({"yes": expected.number, "no": expected.missing},
                               {"yes": recent.number, "no": recent.missing}).psi >= statistics.UNLIKE

    def of_day(each: DayFigure) -> float:
        found = each.summary
        if lacking:
            return found.missing / (found.number + found.missing)
        return found.words.get(word, 0) / found.number if word else found.mean

    counted = [each for each in known if each.summary.number or lacking]
    return counted[statistics.change_point([of_day(each) for each in counted])].day


def _rate(days: Sequence[DayFigure], expected: Summary, baseline: Span, tests: int) -> Verdict:
    after = [each for each in days if each.day > baseline.last]
    counted = [(each.summary.words.get("yes", 0), each.summary.number) for each in after]
    hits, cases = expected.words.get("yes", 0), expected.number
    detail: dict[str, Any] = {"baseline": told(expected), "recent": told(pooled(after[-WINDOW_DAYS:])),
              "limit": round(statistics.threshold(tests), 2)}
    if cases < BASELINE_JOBS or sum(number for _, number in counted) < WINDOW_JOBS:
        return Verdict(state="too few", detail=detail)
    found = statistics.change((hits, cases), counted)
    detail |= {"score": round(found.score, 2), "rising": found.rising}
    if found.score > statistics.threshold(tests) and found.since is not None:
        return Verdict(state="drifted", since=after[found.since].day, detail=detail)
    return Verdict(state="steady", detail=detail)
