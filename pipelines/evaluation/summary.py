"""All cases together: each metric with its interval, over all and for each subgroup. Pure."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from radnode.pipelines.evaluation import agreement as agreeing
from radnode.pipelines.evaluation import answers as answering
from radnode.pipelines.evaluation import marks as marking
from radnode.pipelines.evaluation.cases import SUBGROUPS
from radnode.pipelines.evaluation.intervals import Estimate, bootstrap, wilson
from radnode.pipelines.evaluation.running import CaseState
from radnode.pipelines.evaluation.truth import words

if TYPE_CHECKING:
    from radnode.pipelines.evaluation.agreement import Agreement
    from radnode.pipelines.evaluation.answers import Calibration, Judged, Roc
    from radnode.pipelines.evaluation.marks import Froc, Matched
    from radnode.pipelines.evaluation.overlap import Overlap
    from radnode.pipelines.evaluation.running import CaseResult, Evaluation

ALL = "all"
ANY_MARK = "all detections"
OVERLAPS = ("dice", "iou", "hd95_mm", "assd_mm")
Estimates = Mapping[str, Estimate]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The metrics of all cases, or of one subgroup. group: "all", or as "sex: female"."""

    group: str
    metrics: Estimates


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Pairs of numbers of one measurement, with the case of each."""

    label: str
    unit: str
    cases: tuple[str, ...]
    found: tuple[float, ...]
    reference: tuple[float, ...]
    agreement: Agreement


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureSummary:
    """One structure. cases, overlaps: of every case that the reference speaks of, in one order.

    missed: drawn and not found; only_found: found where the reference is empty; absent: in neither.
    """

    label: str
    rows: tuple[Row, ...]
    cases: tuple[str, ...]
    overlaps: tuple[Overlap, ...]
    missed: int
    only_found: int
    absent: int
    volumes: Compared | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkSummary:
    """Marks of one label. froc: None where there is no curve. points: false marks a case -> sensitivity.

    called: what the pipeline calls its detections, where none of them has this label.
    """

    label: str
    rows: tuple[Row, ...]
    cases: int
    marks: int
    detections: int
    froc: Froc | None
    points: Mapping[float, Estimate]
    called: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassSummary:
    """One class of a question against the rest. scored: how many answers gave a probability for it."""

    label: str
    rows: tuple[Row, ...]
    confusion: answering.Confusion
    scored: int
    roc: Roc | None
    calibration: Calibration | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerSummary:
    """One question. rows: its accuracy."""

    label: str
    rows: tuple[Row, ...]
    classes: tuple[ClassSummary, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Everything the report says of the numbers. never_found: structures of the references that no case's findings
    have.
    """

    counts: Mapping[str, int]
    subgroups: Mapping[str, Mapping[str, int]]
    structures: tuple[StructureSummary, ...]
    marks: tuple[MarkSummary, ...]
    answers: tuple[AnswerSummary, ...]
    measurements: tuple[Compared, ...]
    never_found: tuple[str, ...]


def summarise(evaluation: Evaluation) -> Summary:
    """What the cases say together."""
    results = evaluation.results
    compared = [each for each in results if each.state is CaseState.COMPARED]
    drawn = {each.name: each.label for result in compared for each in result.scores.structures}
    given = {each.name for result in compared for each in result.scores.structures if each.given}
    asked = {each.name: each.label for result in compared for each in result.scores.answers}
    measured = {(each.name, each.unit): each.label for result in compared for each in result.scores.measurements}
    return Summary(
        counts={state.value: sum(each.state is state for each in results) for state in CaseState},
        subgroups={name: _counted(compared, name) for name in SUBGROUPS},
        structures=tuple(_structure(compared, name, label) for name, label in sorted(drawn.items()) if name in given),
        marks=tuple(_marks(compared)),
        answers=tuple(_answers(compared, name, label) for name, label in sorted(asked.items())),
        measurements=tuple(_measurement(compared, name, unit, label)
                           for (name, unit), label in sorted(measured.items())),
        never_found=tuple(sorted(label for name, label in drawn.items() if name not in given)),
    )


def _counted(results: Sequence[CaseResult], name: str) -> dict[str, int]:
    values = [each.case.subgroups[name] for each in results]
    return {value: values.count(value) for value in sorted(set(values))}


def _rows(results: Sequence[CaseResult], metrics: Callable[[Sequence[CaseResult]], Estimates]) -> tuple[Row, ...]:
    """Over all, then over each subgroup of what differs among them."""
    rows = [Row(group=ALL, metrics=metrics(results))]
    for name in SUBGROUPS:
        values = sorted({each.case.subgroups[name] for each in results})
        if len(values) > 1:
            rows += [Row(group=f"{name}: {value}",
                         metrics=metrics([each for each in results if each.case.subgroups[name] == value]))
                     for value in values]
    return tuple(rows)


def _by_study(pairs: Sequence[tuple[CaseResult, Any]]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for result, value in pairs:
        found[result.case.study_instance_uid].append(value)
    return found


def _structure(results: Sequence[CaseResult], name: str, label: str) -> StructureSummary:
    def overlaps(chosen: Sequence[CaseResult]) -> list[tuple[CaseResult, Overlap]]:
        return [(result, each.overlap) for result in chosen for each in result.scores.structures if each.name == name]

    def metrics(chosen: Sequence[CaseResult]) -> Estimates:
        held = overlaps(chosen)
        found = {metric: bootstrap(_by_study([(result, getattr(each, metric)) for result, each in held
                                              if getattr(each, metric) is not None]), statistics.fmean)
                 for metric in OVERLAPS}
        dice = [(result, each.dice) for result, each in held if each.dice is not None]
        return found | {"median dice": bootstrap(_by_study(dice), statistics.median)}

    held = overlaps(results)
    both = [(result, each) for result, each in held if each.found_ml and each.reference_ml]
    return StructureSummary(
        label=label, rows=_rows([result for result, _ in held], metrics),
        cases=tuple(result.case.uid for result, _ in held), overlaps=tuple(each for _, each in held),
        missed=sum(each.reference_ml > 0 and not each.found_ml for _, each in held),
        only_found=sum(each.found_ml > 0 and not each.reference_ml for _, each in held),
        absent=sum(not each.found_ml and not each.reference_ml for _, each in held),
        volumes=_compared(f"Volume of {label}", "mL", [(result.case.uid, each.found_ml, each.reference_ml)
                                                       for result, each in both]) if both else None,
    )


def _marks(results: Sequence[CaseResult]) -> list[MarkSummary]:
    marked = [each for each in results if each.scores.marks is not None]
    if not marked:
        return []
    every = [mark for each in marked if each.scores.marks for mark in each.scores.marks.marks]
    labels = {words(each.label): each.label for each in every}
    if "" in labels or not labels:
        return [_marks_of(marked, "", ANY_MARK)]
    return [_marks_of(marked, name, label) for name, label in sorted(labels.items())]


def _marks_of(results: Sequence[CaseResult], name: str, label: str) -> MarkSummary:
    matched = {each.case.uid: _matched(each, name) for each in results}

    def by_study(chosen: Sequence[CaseResult]) -> dict[str, list[Matched]]:
        return _by_study([(each, matched[each.case.uid]) for each in chosen])

    def metrics(chosen: Sequence[CaseResult]) -> Estimates:
        return {metric: bootstrap(by_study(chosen), statistic) for metric, statistic in (
            ("sensitivity", marking.sensitivity), ("precision", marking.precision), ("f1", marking.f1),
            ("false marks a case", marking.false_a_case))}

    hits, false, missed = marking.counts(list(matched.values()))
    curve = marking.froc(list(matched.values()))
    every = {detection.type.meaning for each in results if each.scores.marks for detection in
             each.scores.marks.detections}
    return MarkSummary(
        label=label, rows=_rows(results, metrics), cases=len(matched), marks=hits + missed, detections=hits + false,
        froc=curve, called=tuple(sorted(every)) if not hits + false else (),
        points={} if curve is None else {
            rate: bootstrap(by_study(results), lambda chosen, rate=rate: marking.sensitivity_at(chosen, rate))  # type: ignore[misc]
            for rate in marking.OPERATING_POINTS},
    )


def _matched(result: CaseResult, name: str) -> Matched:
    held = result.scores.marks
    if held is None:
        return marking.Matched(hits=(), false=(), missed=0)
    marks = [each for each in held.marks if not name or words(each.label) == name]
    return marking.match(marking.of_label(held.detections, name), marks)


def _answers(results: Sequence[CaseResult], name: str, label: str) -> AnswerSummary:
    def judged(chosen: Sequence[CaseResult]) -> list[tuple[CaseResult, Judged]]:
        return [(result, each.judged) for result in chosen for each in result.scores.answers if each.name == name]

    answered = [result for result, _ in judged(results)]
    every = [each for _, each in judged(results)]
    # Absence is judged when presence is.
    shown = [each for each in answering.classes(every) if each != "absent"] or answering.classes(every)
    return AnswerSummary(
        label=label, rows=_rows(answered, lambda chosen: {"accuracy": _share(
            [each.truth == each.answer for _, each in judged(chosen)])}),
        classes=tuple(_class(answered, judged, each) for each in shown),
    )


def _class(
    results: Sequence[CaseResult], judged: Callable[[Sequence[CaseResult]], list[tuple[CaseResult, Judged]]],
    positive: str,
) -> ClassSummary:
    every = [each for _, each in judged(results)]
    both = answering.classes(every)

    def metrics(chosen: Sequence[CaseResult]) -> Estimates:
        held = judged(chosen)
        found = answering.confusion([each for _, each in held], positive)
        scores = [(result, (each.truth == positive, score)) for result, each in held
                  if (score := answering.probability(each, positive, both)) is not None]
        return {
            "sensitivity": wilson(found.true_positive, found.true_positive + found.false_negative),
            "specificity": wilson(found.true_negative, found.true_negative + found.false_positive),
            "precision": wilson(found.true_positive, found.true_positive + found.false_positive),
            "f1": bootstrap(_by_study(held), lambda each: answering.f1(each, positive)),
            "auc": bootstrap(_by_study(scores), answering.auc),
        }

    truths, scores = answering.scored(every, positive)
    return ClassSummary(
        label=positive, rows=_rows(results, metrics), confusion=answering.confusion(every, positive),
        scored=len(truths), roc=answering.roc(truths, scores), calibration=answering.calibration(truths, scores),
    )


def _measurement(results: Sequence[CaseResult], name: str, unit: str, label: str) -> Compared:
    return _compared(label, unit, [
        (result.case.uid, each.found, each.reference)
        for result in results for each in result.scores.measurements if (each.name, each.unit) == (name, unit)])


def _compared(label: str, unit: str, pairs: Sequence[tuple[str, float, float]]) -> Compared:
    cases, found, reference = (tuple(each) for each in zip(*pairs, strict=True))
    return Compared(label=label, unit=unit, cases=cases, found=found, reference=reference,
                    agreement=agreeing.agreement(found, reference))


def _share(right: Sequence[bool]) -> Estimate:
    return wilson(sum(right), len(right))
