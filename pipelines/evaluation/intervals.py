"""95 % intervals, or none where there are too few cases for one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from radnode.pipelines.evaluation.late import scipy_stats

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Value = TypeVar("Value")

LEVEL = 0.95
RESAMPLES = 2000
SEED = 20260101
# Percentiles of resampled means are too narrow for small samples (Efron and Tibshirani 1993, 14.3).
FEWEST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number, what it rests on, and its 95 % interval. value: None where it is not defined.

    low, high: None where there are too few studies for an interval. n: how many values or decisions it rests on;
    studies: how many studies those come from.
    """

    value: float | None
    n: int
    studies: int
    low: float | None = None
    high: float | None = None


def proportion(successes: int, n: int) -> tuple[float, float] | None:
    """The interval of Wilson (1927) of a share of independent decisions; None without one."""
    if n == 0:
        return None
    found = scipy_stats().binomtest(successes, n).proportion_ci(confidence_level=LEVEL, method="wilson")
    return float(found.low), float(found.high)


def wilson(successes: int, n: int) -> Estimate:
    """A proportion of independent decisions, one a study, with the interval of Wilson (1927)."""
    found = proportion(successes, n)
    if found is None:
        return Estimate(value=None, n=0, studies=0)
    return Estimate(value=successes / n, n=n, studies=n, low=found[0], high=found[1])


def bootstrap(
    values: Mapping[str, Sequence[Value]], statistic: Callable[[Sequence[Value]], float | None]
) -> Estimate:
    """A statistic with a percentile interval over studies, which are drawn whole: what one study holds is alike.

    values: Study Instance UID -> its values. statistic: of all values; None where it is not defined. A draw in which it
    is not defined does not count; where fewer than 95 % of the draws count, there is no interval.
    """
    studies = sorted(study for study, held in values.items() if held)
    pooled = [value for study in studies for value in values[study]]
    found = statistic(pooled) if pooled else None
    bare = Estimate(value=found, n=len(pooled), studies=len(studies))
    if found is None or len(studies) < FEWEST:
        return bare
    random = np.random.default_rng(SEED)
    drawn = []
    for _ in range(RESAMPLES):
        chosen = random.integers(0, len(studies), len(studies))
        again = statistic([value for place in chosen for value in values[studies[place]]])
        if again is not None:
            drawn.append(again)
    if len(drawn) < LEVEL * RESAMPLES:
        return bare
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value=found, n=len(pooled), studies=len(studies), low=float(low), high=float(high))
