"""Detections against reference marks: one to one, the most certain first; sensitivity, precision, F1, FROC."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from radnode.pipelines.evaluation.truth import words
from radnode.pipelines.findings import InPatient

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radnode.pipelines.evaluation.truth import Mark
    from radnode.pipelines.findings import Detection, OnImage

# False marks a case at which FROC is read (Setio et al. 2017, LUNA16).
OPERATING_POINTS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
REACH_MM = 10.0
"""How far from a mark without a size a detection may lie and still hit it, in the patient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """The detections of one case against its marks.

    hits, false: the certainty of each detection, None where it has none. missed: marks that nothing hit.
    """

    hits: tuple[float | None, ...]
    false: tuple[float | None, ...]
    missed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Froc:
    """false_marks: a case; sensitivity: the share of all marks; both by falling threshold, from none at all."""

    false_marks: tuple[float, ...]
    sensitivity: tuple[float, ...]

    def at(self, false_marks: float) -> float:
        """The highest sensitivity that a threshold reaches with at most so many false marks a case."""
        return max(found for rate, found in zip(self.false_marks, self.sensitivity, strict=True)
                   if rate <= false_marks + 1e-9)


def match(detections: Sequence[Detection], marks: Sequence[Mark]) -> Matched:
    """One mark counts for one detection; a second detection of the same mark is false.

    A detection hits a mark when its centre lies within the mark's radius, or :data:`REACH_MM`. The most certain
    detection chooses first, the nearest of the marks that are left.
    """
    ordered = sorted(detections, key=lambda each: 1.0 if each.certainty is None else -each.certainty)
    left = list(range(len(marks)))
    hits: list[float | None] = []
    false: list[float | None] = []
    for detection in ordered:
        reached = [(distance, place) for place in left
                   if (distance := _distance(detection, marks[place])) is not None
                   and distance <= (REACH_MM if marks[place].radius is None else marks[place].radius or 0.0)]
        if reached:
            left.remove(min(reached)[1])
            hits.append(detection.certainty)
        else:
            false.append(detection.certainty)
    return Matched(hits=tuple(hits), false=tuple(false), missed=len(left))


def of_label(detections: Sequence[Detection], label: str) -> list[Detection]:
    """Those that a mark with this label is about; all, for a mark without one."""
    if not label:
        return list(detections)
    return [each for each in detections
            if words(label) in {words(each.type.meaning), words(each.label), words(each.type.value), words(each.key)}]


def counts(matched: Sequence[Matched]) -> tuple[int, int, int]:
    """(hits, false marks, missed) of all cases together."""
    return (sum(len(each.hits) for each in matched), sum(len(each.false) for each in matched),
            sum(each.missed for each in matched))


def sensitivity(matched: Sequence[Matched]) -> float | None:
    """Share of the marks that were hit; None without a mark."""
    hits, _, missed = counts(matched)
    return hits / (hits + missed) if hits + missed else None


def precision(matched: Sequence[Matched]) -> float | None:
    """Share of the detections that hit a mark; None without a detection."""
    hits, false, _ = counts(matched)
    return hits / (hits + false) if hits + false else None


def f1(matched: Sequence[Matched]) -> float | None:
    """Twice the hits over detections and marks together; None where there is neither."""
    hits, false, missed = counts(matched)
    return 2 * hits / (2 * hits + false + missed) if hits + false + missed else None


def false_a_case(matched: Sequence[Matched]) -> float | None:
    """False marks a case; None without a case."""
    return counts(matched)[1] / len(matched) if matched else None


def froc(matched: Sequence[Matched]) -> Froc | None:
    """The curve over all cases, by MONAI; None without a mark, or where a detection does not say how certain it is."""
    found = [each for case in matched for each in (*case.hits, *case.false)]
    hits, _, missed = counts(matched)
    if not found or None in found or hits + missed == 0:
        return None
    metrics: Any = importlib.import_module("monai.metrics")
    # MONAI leaves the lowest of all thresholds out; with one below them all, none that was found is left out.
    below = [-1.0]
    rates, shares = metrics.compute_froc_curve_data(
        np.array([*below, *(each for case in matched for each in case.false)], dtype=np.float64),
        np.array([each for case in matched for each in case.hits], dtype=np.float64),
        hits + missed, len(matched),
    )
    return Froc(false_marks=tuple(float(each) for each in rates[::-1]),
                sensitivity=tuple(float(each) for each in shares[::-1]))


def sensitivity_at(matched: Sequence[Matched], false_marks: float) -> float | None:
    """As :meth:`Froc.at`, without the curve; None without a mark. Every detection says how certain it is."""
    hits, _, missed = counts(matched)
    if hits + missed == 0:
        return None
    false = sorted((each or 0.0 for case in matched for each in case.false), reverse=True)
    allowed = int(false_marks * len(matched) + 1e-9)
    if allowed >= len(false):
        return hits / (hits + missed)
    return sum((each or 0.0) > false[allowed] for case in matched for each in case.hits) / (hits + missed)


def _distance(detection: Detection, mark: Mark) -> float | None:
    """Millimetres in the patient, pixels on an image; None if they do not lie in one space."""
    found, drawn = detection.at, mark.at
    if isinstance(found, InPatient) and isinstance(drawn, InPatient):
        return float(np.linalg.norm(np.subtract(found.center_lps, drawn.center_lps)))
    if isinstance(found, InPatient) or isinstance(drawn, InPatient):
        return None
    return _on_image(found, drawn)


def _on_image(found: OnImage, drawn: OnImage) -> float | None:
    if (found.sop_instance_uid, found.frame_number) != (drawn.sop_instance_uid, drawn.frame_number):
        return None
    return float(np.hypot(found.center[0] - drawn.center[0], found.center[1] - drawn.center[1]))
