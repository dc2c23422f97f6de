"""Agreement of numbers (Bland and Altman 1986): bias, limits of agreement, and how sure either is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines.evaluation.late import scipy_stats

if TYPE_CHECKING:
    from collections.abc import Sequence

# Of the differences between limits of agreement, if they are normal.
_NORMAL = 1.96
FEWEST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Differences are found minus reference, in the unit of both.

    bias: their mean; low, high: bias -/+ 1.96 standard deviations. Each with its 95 % interval (Bland and Altman 1986,
    by Student's t). All but n and bias are None for fewer than three pairs.
    """

    n: int
    bias: float
    bias_interval: tuple[float, float] | None = None
    low: float | None = None
    low_interval: tuple[float, float] | None = None
    high: float | None = None
    high_interval: tuple[float, float] | None = None


def agreement(found: Sequence[float], reference: Sequence[float]) -> Agreement:
    """Of pairs, one a case. Raises ValueError without a pair."""
    differences = np.subtract(found, reference)
    n = len(differences)
    if n == 0:
        raise ValueError("no pair of numbers")
    bias = float(differences.mean())
    if n < FEWEST:
        return Agreement(n=n, bias=bias)
    deviation = float(differences.std(ddof=1))
    quantile = float(scipy_stats().t.ppf(0.975, n - 1))
    of_bias, of_limit = quantile * deviation / np.sqrt(n), quantile * deviation * np.sqrt(3 / n)
    low, high = bias - _NORMAL * deviation, bias + _NORMAL * deviation
    return Agreement(
        n=n, bias=bias, bias_interval=(bias - of_bias, bias + of_bias),
        low=low, low_interval=(low - of_limit, low + of_limit),
        high=high, high_interval=(high - of_limit, high + of_limit),
    )
