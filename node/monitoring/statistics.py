"""Whether two samples, counts or rates differ, by methods that are known. Pure.

Population stability index: Siddiqi, Credit Risk Scorecards (2006), 16; its limits 0.1 and 0.25 are the customary ones.
Kolmogorov-Smirnov of two samples and chi-square of a table: scipy. Cumulative sums for a rate: Page (1954), with the
threshold from Lorden (1971): a false alarm comes on average after at least exp(threshold) observations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines.evaluation.intervals import proportion
from radnode.pipelines.evaluation.late import scipy_stats

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SHIFTED, UNLIKE = 0.1, 0.25
"""Population stability index: below the first nothing happened, from the second on the population is another."""
BINS = 10
FEWEST = 8
"""Values of a sample below which the test of Kolmogorov and Smirnov, by its limit, is none."""
ALPHA = 0.01
"""The chance that a pipeline that does not change is ever said to have drifted in a figure, all looks together."""
ONCE_IN = 100_000
"""Observations between two false alarms of all cumulative sums of a pipeline together, at least, on average."""
ODDS = 2.0
"""What a cumulative sum looks for: odds that are twice, or half, those of the baseline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """psi: population stability index. p: of the test, 1 where nothing can be tested."""

    psi: float
    p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What cumulative sums say of a rate. score: the higher of both, in the unit of the threshold. since: the place in
    the observations from which on it rose, None at 0. rising: whether it is that of a higher rate.
    """

    score: float
    since: int | None
    rising: bool


def stability(expected: Sequence[float], actual: Sequence[float]) -> float:
    """The population stability index of two distributions over the same bins, as counts; 0 for equal shares.

    Half a case is added to each bin, so that an empty one is not infinitely unlikely. Raises ValueError for other
    numbers of bins.
    """
    if len(expected) != len(actual):
        raise ValueError(f"{len(expected)} bins and {len(actual)} bins")
    if not expected:
        return 0.0
    one = np.asarray(expected, float) + 0.5
    two = np.asarray(actual, float) + 0.5
    one, two = one / one.sum(), two / two.sum()
    return float(((two - one) * np.log(two / one)).sum())


def numbers(baseline: Sequence[float], recent: Sequence[float]) -> Difference:
    """Two samples of a number. The bins of the index are the tenths of the baseline."""
    if not baseline or not recent:
        return Difference(psi=0.0, p=1.0)
    edges = np.unique(np.quantile(baseline, np.linspace(0, 1, BINS + 1)[1:-1]))
    one = np.bincount(np.searchsorted(edges, baseline, side="left"), minlength=len(edges) + 1)
    two = np.bincount(np.searchsorted(edges, recent, side="left"), minlength=len(edges) + 1)
    if len(edges) == 1:  # nearly everything has one value, and below it, on it and above it are three things
        one, two = (np.array([np.sum(np.less(each, edges[0])), np.sum(np.equal(each, edges[0])),
                              np.sum(np.greater(each, edges[0]))]) for each in (baseline, recent))
    p = 1.0
    if min(len(baseline), len(recent)) >= FEWEST:
        p = float(scipy_stats().ks_2samp(baseline, recent, method="asymp").pvalue)
    return Difference(psi=stability(one.tolist(), two.tolist()), p=p)


def words(baseline: Mapping[str, int], recent: Mapping[str, int]) -> Difference:
    """Counts of words; a word that only one of them has counts as any other."""
    known = sorted({word for counts in (baseline, recent) for word, times in counts.items() if times})
    one, two = [baseline.get(word, 0) for word in known], [recent.get(word, 0) for word in known]
    if len(known) < 2 or not sum(one) or not sum(two):
        return Difference(psi=0.0, p=1.0)
    p = float(scipy_stats().chi2_contingency(np.array([one, two]), correction=False, lambda_="log-likelihood").pvalue)
    return Difference(psi=stability(one, two), p=p)


def level(tests: int, looks: int) -> float:
    """What p has to be below: Bonferroni over `tests` figures, and over all looks, of which the n-th gets the share
    1 / (n (n + 1)). However often somebody looks, all shares together are 1.
    """
    return ALPHA / max(tests, 1) / (looks * (looks + 1))


def threshold(tests: int) -> float:
    """Of cumulative sums, two for each of so many rates."""
    return math.log(ONCE_IN * 2 * max(tests, 1))


def change(baseline: tuple[int, int], observed: Iterable[tuple[int, int]]) -> Change:
    """Cumulative sums of (hits, cases), in the order of time, against (hits, cases) of a baseline.

    The rate of a baseline is not known exactly: each sum takes the end of its 95 % interval (Wilson) that is nearer to
    what it looks for, so that an unlucky baseline alone does not alarm.
    """
    hits, cases = baseline
    interval = proportion(hits, cases)
    if interval is None:
        return Change(score=0.0, since=None, rising=True)
    low, high = interval
    data = list(observed)
    up = _sum(data, min(max(high, 1e-6), 1 - 1e-6), ODDS)
    down = _sum(data, min(max(low, 1e-6), 1 - 1e-6), 1 / ODDS)
    score, since = max(up, down)
    return Change(score=score, since=since if score > 0 else None, rising=up >= down)


def _sum(observed: Sequence[tuple[int, int]], rate: float, odds: float) -> tuple[float, int]:
    other = rate * odds / (1 - rate + rate * odds)
    hit, miss = math.log(other / rate), math.log((1 - other) / (1 - rate))
    score, since = 0.0, 0
    for place, (hits, cases) in enumerate(observed):
        if score == 0.0:
            since = place
        score = max(0.0, score + hits * hit + (cases - hits) * miss)
    return score, since


def change_point(values: Sequence[float]) -> int:
    """The place from which on values in their order differ most from those before (Pettitt 1979, by ranks); 0 if none
    do.
    """
    ranks = scipy_stats().rankdata(values)
    before = 2 * np.cumsum(ranks)[:-1] - np.arange(1, len(ranks)) * (len(ranks) + 1)
    return int(np.abs(before).argmax()) + 1 if before.size and np.abs(before).max() > 0 else 0


def kappa(both: int, first: int, second: int, neither: int) -> float | None:
    """Cohen's kappa (1960) of two that say yes or no: both yes, only the first, only the second, neither.

    None without a case, and where chance alone would agree on all: nothing can be said then.
    """
    number = both + first + second + neither
    if not number:
        return None
    agreed = (both + neither) / number
    chance = ((both + first) * (both + second) + (neither + first) * (neither + second)) / number**2
    return None if chance == 1 else (agreed - chance) / (1 - chance)
