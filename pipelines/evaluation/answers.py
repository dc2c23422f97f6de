"""Answers against the right ones: accuracy, sensitivity, specificity, precision, F1, ROC, calibration; scikit-learn's.

Several classes are judged one against the rest.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BINS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One answer beside the right one. scores: the probability of each class that the pipeline gave one for."""

    truth: str
    answer: str
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """One class against the rest, counted in answers."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Roc:
    """The curve, from (0, 0) to (1, 1)."""

    false_positive_rate: tuple[float, ...]
    sensitivity: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Probabilities in ten bins of equal width: mean of what was said, share that was true, how many; Brier, ECE.

    ece: the mean of their differences, weighted by how many there are (Naeini et al. 2015).
    """

    said: tuple[float, ...]
    true: tuple[float, ...]
    n: tuple[int, ...]
    brier: float
    ece: float


def classes(judged: Sequence[Judged]) -> list[str]:
    """Every class that is right somewhere or was answered, by name."""
    return sorted({each.truth for each in judged} | {each.answer for each in judged})


def confusion(judged: Sequence[Judged], positive: str) -> Confusion:
    """Counted by scikit-learn."""
    matrix = _metrics().confusion_matrix(
        [each.truth == positive for each in judged], [each.answer == positive for each in judged],
        labels=[False, True])
    return Confusion(true_negative=int(matrix[0, 0]), false_positive=int(matrix[0, 1]),
                     false_negative=int(matrix[1, 0]), true_positive=int(matrix[1, 1]))


def f1(judged: Sequence[Judged], positive: str) -> float | None:
    """None where the class is neither right nor answered anywhere."""
    right = sum(each.truth == each.answer == positive for each in judged)
    both = sum((each.truth == positive) + (each.answer == positive) for each in judged)
    return 2 * right / both if both else None


def probability(one: Judged, positive: str, every: Sequence[str]) -> float | None:
    """What one answer gives the class; None if it does not say. every: all classes that there are.

    Where there are two, the probability of one is what is left of the other's.
    """
    score = one.scores.get(positive)
    if score is None and len(every) == 2 and len(one.scores) == 1:
        return 1 - next(iter(one.scores.values()))
    return score


def scored(judged: Sequence[Judged], positive: str) -> tuple[list[bool], list[float]]:
    """(whether it is true, its probability) of those answers that give a probability for the class."""
    every = classes(judged)
    given = [(each.truth == positive, score) for each in judged
             if (score := probability(each, positive, every)) is not None]
    return [truth for truth, _ in given], [score for _, score in given]


def roc(truths: Sequence[bool], scores: Sequence[float]) -> Roc | None:
    """None unless there are both kinds."""
    if len(set(truths)) < 2:
        return None
    rates, shares, _ = _metrics().roc_curve(truths, scores)
    return Roc(false_positive_rate=tuple(map(float, rates)), sensitivity=tuple(map(float, shares)))


def auc(pairs: Sequence[tuple[bool, float]]) -> float | None:
    """The area under the ROC curve of (whether it is true, its probability); ties count half. None without both."""
    if len({truth for truth, _ in pairs}) < 2:
        return None
    return float(_metrics().roc_auc_score([truth for truth, _ in pairs], [score for _, score in pairs]))


def calibration(truths: Sequence[bool], scores: Sequence[float]) -> Calibration | None:
    """None without an answer."""
    if not truths:
        return None
    right, said = np.asarray(truths, dtype=float), np.asarray(scores, dtype=float)
    place = np.minimum((said * BINS).astype(int), BINS - 1)
    filled = [place == number for number in range(BINS) if (place == number).any()]
    means = [(float(said[each].mean()), float(right[each].mean()), int(each.sum())) for each in filled]
    return Calibration(
        said=tuple(each[0] for each in means), true=tuple(each[1] for each in means),
        n=tuple(each[2] for each in means),
        brier=float(_metrics().brier_score_loss(list(truths), said, pos_label=True)),
        ece=sum(n * abs(told - share) for told, share, n in means) / len(right),
    )


def _metrics() -> Any:
    return importlib.import_module("sklearn.metrics")
