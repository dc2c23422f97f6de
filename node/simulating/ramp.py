"""Where it breaks: more and more exams a day, until urgent ones are not read in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from radnode.node.simulating.day import exams
from radnode.node.simulating.figures import figures
from radnode.node.simulating.virtual import VirtualNode

if TYPE_CHECKING:
    from collections.abc import Callable

    from radnode.node.simulating.figures import Figures
    from radnode.node.simulating.load import Load

MOST_JOBS = 8_000
"""A step beyond is not taken: it would be minutes of computing, and the day is far from what was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A day with so many times the exams."""

    factor: float
    found: Figures


def once(load: Load, *, days: int, seed: int, factor: float = 1.0) -> Step:
    """One run."""
    sent = exams(load, days=days, seed=seed, factor=factor)
    return Step(factor=factor, found=figures(load, sent, VirtualNode(load=load, seed=seed).run(sent), days))


def ramp(load: Load, *, seed: int, told: Callable[[Step], None]) -> tuple[list[Step], float | None]:
    """Steps by their factor, and the largest at which 95 of 100 urgent results came in time; None if none was.

    Doubles while it holds, then halves the gap twice: the answer is good to an eighth.
    """
    limit_s = load.limit_min["urgent"] * 60
    steps: list[Step] = []

    def holds(factor: float) -> bool:
        steps.append(once(load, days=1, seed=seed, factor=factor))
        told(steps[-1])
        return steps[-1].found.p95_of("urgent") <= limit_s

    good, bad = 0.0, 1.0
    while holds(bad):
        good, bad = bad, bad * 2
        if steps[-1].found.jobs * 2 > MOST_JOBS:
            return sorted(steps, key=lambda step: step.factor), good
    for _ in range(3):
        middle = (good + bad) / 2
        if holds(middle):
            good = middle
        else:
            bad = middle
    return sorted(steps, key=lambda step: step.factor), good or None
