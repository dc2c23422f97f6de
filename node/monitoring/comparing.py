"""Two pipelines on the same input: how far they agree, and on which cases they do not. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from radnode.node.monitoring.statistics import kappa
from radnode.pipelines.evaluation.agreement import Agreement, agreement
from radnode.pipelines.evaluation.truth import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from radnode.storage.comparisons import Pair

MUCH_APART = 0.2
"""Two measurements that differ by more than this share of their mean are listed as discordant."""
LITTLE_OVERLAP = 0.7
"""Dice below which a structure is listed as discordant; of a lung 0.95 is poor, of a small vessel 0.7 is good."""
_SAID = {"findings": True, "nothing found": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Positives:
    """Who found anything. kappa: None where nothing can be said."""

    both: int
    first: int
    second: int
    neither: int

    @property
    def kappa(self) -> float | None:
        """Cohen's."""
        return kappa(self.both, self.first, self.second, self.neither)


@dataclass(frozen=True, slots=True, kw_only=True)
class Discordant:
    """A pair on which they differ. why: what differs, as (kind, name, first, second)."""

    study_id: int
    job_id: int
    other_job_id: int
    ended_at: datetime
    why: tuple[tuple[str, str, str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Of all pairs. measurements: name [unit] -> Bland and Altman, the second minus the first. dice: structure ->
    (mean, lowest, n). seconds, memory: medians of the first and the second, None where no pair says it. unanswered: how
    many the first and the second left without an answer. waiting: overlaps that are still to be computed; refused:
    those that cannot be.
    """

    pairs: int
    positives: Positives
    measurements: Mapping[str, Agreement]
    dice: Mapping[str, tuple[float, float, int]]
    seconds: tuple[float, float] | None
    memory: tuple[float, float] | None
    unanswered: tuple[int, int]
    discordant: tuple[Discordant, ...]
    waiting: int
    refused: int


def compare(pairs: Sequence[Pair]) -> Compared:
    """What :func:`radnode.storage.comparisons.between` gives, newest first."""
    answers = [(_positive(each.report), _positive(each.other_report)) for each in pairs]
    both = [answer for answer in answers if None not in answer]
    rows = [each.comparison for each in pairs if each.comparison is not None]
    return Compared(
        pairs=len(pairs),
        positives=Positives(both=both.count((True, True)), first=both.count((True, False)),
                            second=both.count((False, True)), neither=both.count((False, False))),
        measurements=_measurements(pairs), dice=_dice(pairs),
        seconds=_medians([(_seconds(each.report), _seconds(each.other_report)) for each in pairs]),
        memory=_medians([(_memory(each.report), _memory(each.other_report)) for each in pairs]),
        unanswered=(sum(one is None for one, _ in answers), sum(other is None for _, other in answers)),
        discordant=tuple(found for each in pairs if (found := _discordant(each)).why),
        waiting=sum(row.state == "WAITING" for row in rows), refused=sum(row.state == "REFUSED" for row in rows),
    )


def numbers_of(report: Mapping[str, Any]) -> dict[str, float]:
    """Measurements that are there once under their name; of several with one name nobody knows which is which."""
    found: dict[str, list[float]] = {}
    for each in report.get("measurements", ()):
        method = f" ({each['method']})" if each.get("method") else ""
        name = f"{each.get('label') or ''}: {each.get('name')}{method} [{each.get('unit')}]".removeprefix(": ")
        found.setdefault(name, []).append(float(each["value"]))
    return {name: values[0] for name, values in found.items() if len(values) == 1}


def _shared(pair: Pair) -> dict[str, tuple[float, float]]:
    """By the words of their names: "left lung" and "Lung, left" are one."""
    other = {words(name): value for name, value in numbers_of(pair.other_report).items()}
    return {name: (value, other[words(name)]) for name, value in numbers_of(pair.report).items()
            if words(name) in other}


def _measurements(pairs: Iterable[Pair]) -> dict[str, Agreement]:
    found: dict[str, list[tuple[float, float]]] = {}
    for pair in pairs:
        for name, values in _shared(pair).items():
            found.setdefault(name, []).append(values)
    return {name: agreement([second for _, second in values], [first for first, _ in values])
            for name, values in sorted(found.items())}


def _dice(pairs: Iterable[Pair]) -> dict[str, tuple[float, float, int]]:
    found: dict[str, list[float]] = {}
    for pair in pairs:
        for each in pair.comparison.structures if pair.comparison else ():
            if each.get("dice") is not None:
                found.setdefault(str(each["name"]), []).append(float(each["dice"]))
    return {name: (fmean(values), min(values), len(values)) for name, values in sorted(found.items())}


def _discordant(pair: Pair) -> Discordant:
    why: list[tuple[str, str, str, str]] = []
    one, other = _outcome(pair.report, pair.state), _outcome(pair.other_report, pair.other_state)
    if one != other:
        why.append(("outcome", "", one, other))
    for name, (first, second) in _shared(pair).items():
        if abs(first - second) > MUCH_APART * (abs(first) + abs(second)) / 2:
            why.append(("measurement", name, f"{first:.4g}", f"{second:.4g}"))
    for each in pair.comparison.structures if pair.comparison else ():
        if each.get("dice") is not None and each["dice"] < LITTLE_OVERLAP:
            why.append(("overlap", str(each["name"]), f"{each['dice']:.2f}", ""))
    return Discordant(study_id=pair.study_id, job_id=pair.job_id, other_job_id=pair.other_job_id,
                      ended_at=pair.ended_at, why=tuple(why))


def _outcome(report: Mapping[str, Any], state: str) -> str:
    return {"NOT_PROCESSED": "not processed", "FAILED": "failed"}.get(state) or str(report.get("state") or "failed")


def _positive(report: Mapping[str, Any]) -> bool | None:
    return _SAID.get(str(report.get("state") or ""))


def _seconds(report: Mapping[str, Any]) -> float | None:
    return sum(report["seconds"].values()) if report.get("seconds") else None


def _memory(report: Mapping[str, Any]) -> float | None:
    value = report.get("memory", {}).get("run_mb")
    return None if value is None else float(value)


def _medians(values: Sequence[tuple[float | None, float | None]]) -> tuple[float, float] | None:
    """Over the pairs in which both say it."""
    both = [(one, other) for one, other in values if one is not None and other is not None]
    return (median(one for one, _ in both), median(other for _, other in both)) if both else None
