"""The exams of a simulated day: when each begins, of what it consists, what goes wrong with it. Pure, by a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from radnode.node.simulating.load import Kind, Load, Priority

DAY_S = 86_400.0
_BATCH_GAP_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """One exam as it is sent. begins_s: since the first midnight. images: of all series; read: of one that is read.

    evidence: what can prove such a series whole. late_s: its last image comes so much later; 0: with the others.
    priors_s: pipelines wait so long for earlier studies; 0: for none.
    """

    number: int
    kind: str
    begins_s: float
    priority: Priority
    images: int
    read: int
    pipelines: tuple[str, ...]
    evidence: str
    late_s: float = 0.0
    sent_again_s: float = 0.0
    priors_s: float = 0.0


def exams(load: Load, *, days: int, seed: int, factor: float = 1.0) -> list[Exam]:
    """The exams of so many equal days in the order of their beginning. factor: times as many as `load` says."""
    dice = random.Random(seed)  # noqa: S311 - a day is to come again the same
    names = list(load.kinds)
    weights = [load.kinds[name].share for name in names]
    begins = sorted(_begins(load, days, load.exams_a_day * factor, dice))
    kinds = dice.choices(names, weights, k=len(begins))
    made = [_exam(load, number, begin, kind, dice)
            for number, (begin, kind) in enumerate(zip(begins, kinds, strict=True))]
    return sorted(made, key=lambda exam: exam.begins_s)


def _begins(load: Load, days: int, a_day: float, dice: random.Random) -> Iterator[float]:
    """Each exam begins on its own, or with others of a batch."""
    hours = range(24)
    # A batch begins as often as it takes for its exams to be this share of all.
    batches = load.batched / (load.batch - load.batched * load.batch + load.batched)
    for day in range(days):
        left = round(a_day)
        while left > 0:
            begin = day * DAY_S + 3600 * (dice.choices(hours, load.hours)[0] + dice.random())
            size = min(left, max(1, round(dice.expovariate(1 / load.batch)))) if dice.random() < batches else 1
            yield from (begin + place * _BATCH_GAP_S for place in range(size))
            left -= size


def _exam(load: Load, number: int, begin: float, name: str, dice: random.Random) -> Exam:
    kind = load.kinds[name]
    pipelines = tuple(pipeline for pipeline, share in kind.run.items() if dice.random() < share * load.run_scale)
    priority, begin = _priority(load, begin, dice)
    return Exam(
        number=number, kind=name, begins_s=begin, priority=priority, images=kind.series * kind.images, read=kind.images,
        pipelines=pipelines, evidence=_evidence(load, kind, dice),
        late_s=dice.expovariate(1 / load.late_s) if dice.random() < load.late else 0.0,
        sent_again_s=dice.uniform(60, 3600) if dice.random() < load.sent_again else 0.0,
        priors_s=dice.expovariate(1 / load.priors_s) if dice.random() < load.with_priors else 0.0,
    )


def _priority(load: Load, begin: float, dice: random.Random) -> tuple[Priority, float]:
    """Emergencies come at any hour."""
    throw = dice.random()
    if throw < load.urgent:
        return "urgent", begin // DAY_S * DAY_S + dice.random() * DAY_S
    return ("low" if throw < load.urgent + load.low else "routine"), begin


def _evidence(load: Load, kind: Kind, dice: random.Random) -> str:
    if dice.random() < load.counted:
        return "count"
    return "geometry" if kind.images >= 8 else "quiet"
