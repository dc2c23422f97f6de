"""What the report says, as headings, paragraphs, tables and plots; HTML and PDF print the same.

It names cases by their UIDs and holds nothing else of a patient.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from radnode.pipelines.evaluation import plots
from radnode.pipelines.evaluation.intervals import FEWEST, RESAMPLES
from radnode.pipelines.evaluation.marks import REACH_MM
from radnode.pipelines.evaluation.running import CaseState

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from radnode.pipelines.evaluation.intervals import Estimate
    from radnode.pipelines.evaluation.plots import Plot
    from radnode.pipelines.evaluation.running import CaseResult, Evaluation
    from radnode.pipelines.evaluation.summary import (
        AnswerSummary,
        ClassSummary,
        Compared,
        MarkSummary,
        Row,
        StructureSummary,
        Summary,
    )

NOTICE = "RESEARCH - not for diagnosis. What is measured here holds for these images alone."
_WORST = 3
_LISTED = 10


@dataclass(frozen=True, slots=True)
class Heading:
    """The title of a part. level: 2 or 3."""

    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """Cells in rows; the first column names the row. widths: shares of the page, one a column."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    widths: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot with what it shows in words."""

    plot: Plot
    caption: str


Block = Heading | Text | Table | Figure


def report(evaluation: Evaluation, summary: Summary) -> list[Block]:
    """Everything from the first page to the last."""
    blocks: list[Block] = [*_what(evaluation, summary)]
    if summary.structures or summary.never_found:
        blocks += _structures(evaluation, summary)
    for mark in summary.marks:
        blocks += _marks(mark)
    for answer in summary.answers:
        blocks += _answers(answer)
    if summary.measurements:
        blocks += _measurements(summary.measurements)
    return [*blocks, *_not_compared(evaluation), *_how()]


def _what(evaluation: Evaluation, summary: Summary) -> Iterator[Block]:
    manifest, counts = evaluation.manifest, summary.counts
    compared, every = counts[CaseState.COMPARED], len(evaluation.results)
    yield Table(("", ""), (
        ("Pipeline", f"{manifest.name} {manifest.version}: {manifest.title}"),
        ("Model digest (SHA-256)", manifest.model_digest),
        ("Intended use", manifest.intended_use),
        ("Run on", f"{evaluation.device}, {evaluation.started:%Y-%m-%d %H:%M} UTC"),
        ("Images", f"{evaluation.images} files; {every} cases that the pipeline could read; "
                   f"{evaluation.series_left_out} other series left out"),
        ("References", f"{evaluation.references}, of which {len(evaluation.unread)} were not used"),
    ), (0.26, 0.74))
    yield Heading("What the numbers rest on")
    yield Text(f"{compared} of {every} cases were compared. " + (
        "Every case is accounted for below; those that were not compared count in no metric."
        if compared < every else "None was left out."))
    yield Table(("Cases", "n"), tuple((state.value, str(counts[state])) for state in CaseState), (0.7, 0.3))
    rows = [(name, value, str(n)) for name, found in summary.subgroups.items() for value, n in found.items()]
    if rows:
        yield Table(("Compared cases by", "", "n"), tuple(rows), (0.25, 0.55, 0.2))


def _structures(evaluation: Evaluation, summary: Summary) -> Iterator[Block]:
    yield Heading("Structures")
    if summary.never_found:
        yield Text("In the references, but in no case among the findings, and not compared: "
                   f"{', '.join(summary.never_found)}.")
    shown = [(each.label, each.overlaps) for each in summary.structures]
    for metric, axis in (("dice", "Dice"), ("hd95_mm", "HD95 (mm)")):
        drawn = plots.strips(shown, metric, axis)
        if drawn is not None:
            yield Figure(drawn, f"{axis}: each point is a case; box: quartiles, orange: median.")
    for each in summary.structures:
        yield from _structure(each)
    yield from _pictures(evaluation)


def _structure(found: StructureSummary) -> Iterator[Block]:
    yield Heading(found.label, 3)
    undefined = sum(each.hd95_mm is None for each in found.overlaps)
    said = (f"Reference in {len(found.overlaps)} cases: missed in {found.missed}, found where the reference is empty "
            f"in {found.only_found}, in neither in {found.absent}.")
    if undefined:
        said += f" Surface distances are not defined in {undefined} of them, Dice and IoU in {found.absent}."
    yield Text(said)
    columns = ("dice", "median dice", "iou", "hd95_mm", "assd_mm")
    yield _table(("Cases", "Dice, mean", "Dice, median", "IoU, mean", "HD95, mean (mm)", "Surface, mean (mm)"),
                 found.rows, columns)
    if found.volumes is not None:
        yield from _agreement(found.volumes)


def _pictures(evaluation: Evaluation) -> Iterator[Block]:
    """The worst cases by mean Dice, and the middle one."""
    held = [(dice, each) for each in evaluation.results if (dice := mean_dice(each)) is not None]
    held.sort(key=lambda pair: pair[0])
    if not held:
        return
    yield Heading("Worst cases")
    yield Text("By the mean of Dice over the structures of a case.")
    yield Table(("Case", "Study Instance UID", "Dice"), tuple(
        (each.case.uid, each.case.study_instance_uid, f"{dice:.3f}") for dice, each in held[:_LISTED]),
        (0.44, 0.44, 0.12))
    middle = held[len(held) // 2]
    chosen = held[:_WORST] + ([middle] if middle not in held[:_WORST] else [])
    for dice, each in chosen:
        if each.picture:
            place = "the middle case" if (dice, each) == middle else "one of the worst cases"
            yield Figure(plots.picture(each.picture), f"{each.case.uid}: mean Dice {dice:.3f}, {place}. Orange: found; "
                                                      "blue: reference.")


def mean_dice(result: CaseResult) -> float | None:
    """Over the structures of a case for which it is defined."""
    held = [each.overlap.dice for each in result.scores.structures if each.given and each.overlap.dice is not None]
    return statistics.fmean(held) if held else None


def _marks(found: MarkSummary) -> Iterator[Block]:
    yield Heading(f"Detections: {found.label}")
    yield Text(f"{found.detections} detections and {found.marks} marks in {found.cases} cases. A detection hits a mark "
               f"when its centre lies within the mark's radius ({REACH_MM:g} mm for a mark in the patient without a "
               "size); one mark counts for one detection, the most certain first.")
    if found.called:
        yield Text(f"No detection has this name; the pipeline's are called: {', '.join(found.called)}.")
    yield _table(("Cases", "Sensitivity", "Precision", "F1", "False marks a case"), found.rows,
                 ("sensitivity", "precision", "f1", "false marks a case"))
    if found.froc is None:
        yield Text("No FROC curve: it needs a mark, and a detection that says how certain it is, in every case of one.")
        return
    yield Figure(plots.froc(found.froc, list(found.points.items())),
                 "FROC. Points: the highest sensitivity that a threshold reaches with at most so many false marks.")
    yield Table(("False marks a case", *(f"{rate:g}" for rate in found.points)),
                (("Sensitivity", *(number(each) for each in found.points.values())),),
                (0.2, *(0.8 / len(found.points) for _ in found.points)))


def _answers(found: AnswerSummary) -> Iterator[Block]:
    yield Heading(f"Answers: {found.label}")
    yield _table(("Cases", "Accuracy"), found.rows, ("accuracy",))
    for each in found.classes:
        yield from _class(each)


def _class(found: ClassSummary) -> Iterator[Block]:
    counted = found.confusion
    yield Heading(f"{found.label}, against all other answers", 3)
    yield Text(f"True positive {counted.true_positive}, false positive {counted.false_positive}, false negative "
               f"{counted.false_negative}, true negative {counted.true_negative}.")
    yield _table(("Cases", "Sensitivity", "Specificity", "Precision", "F1", "AUC"), found.rows,
                 ("sensitivity", "specificity", "precision", "f1", "auc"))
    if found.roc is not None:
        yield Figure(plots.roc(found.roc, found.rows[0].metrics["auc"]), f"ROC of {found.scored} answers.")
    else:
        yield Text("No ROC curve: it needs probabilities of cases of both kinds.")
    if found.calibration is not None:
        yield Figure(plots.reliability(found.calibration),
                     f"Calibration of {found.scored} answers: Brier score {found.calibration.brier:.3f}, expected "
                     f"calibration error {found.calibration.ece:.3f} (ten bins). On the dotted line what was said is "
                     "true.")


def _measurements(found: Sequence[Compared]) -> Iterator[Block]:
    yield Heading("Measurements")
    for each in found:
        yield from _agreement(each)


def _agreement(found: Compared) -> Iterator[Block]:
    agreed = found.agreement
    yield Heading(f"{found.label}, agreement", 3)
    if agreed.low is None or agreed.high is None:
        yield Text(f"{agreed.n} pairs, mean difference {agreed.bias:.3g} {found.unit}; too few for limits of "
                   "agreement.")
    else:
        said = [f"{name} {value:.3g} {found.unit} [{low:.3g}, {high:.3g}]" for name, value, (low, high) in (
            ("bias", agreed.bias, agreed.bias_interval or (0.0, 0.0)),
            ("lower limit of agreement", agreed.low, agreed.low_interval or (0.0, 0.0)),
            ("upper limit", agreed.high, agreed.high_interval or (0.0, 0.0)))]
        yield Text(f"{agreed.n} pairs: {'; '.join(said)}. In brackets 95 % intervals.")
    yield Figure(plots.bland_altman(found), f"Bland-Altman plot of {agreed.n} pairs. Orange: bias and limits of "
                                            "agreement (1.96 standard deviations), shaded: their 95 % intervals.")


def _not_compared(evaluation: Evaluation) -> Iterator[Block]:
    yield Heading("What was not compared")
    rows = [(each.case.uid, each.state.value, each.reason) for each in evaluation.results
            if each.state is not CaseState.COMPARED]
    yield Text("Every case was compared." if not rows else "Cases:")
    if rows:
        yield Table(("Case", "State", "Reason"), tuple(rows), (0.35, 0.15, 0.5))
    if evaluation.unread:
        yield Text("References that were not used:")
        yield Table(("Reference", "Reason"), tuple((each.source, each.reason) for each in evaluation.unread),
                    (0.4, 0.6))
    notes = [(each.case.uid, note) for each in evaluation.results for note in each.scores.notes]
    if notes:
        yield Text("Parts of cases:")
        yield Table(("Case", "What"), tuple(notes), (0.4, 0.6))


def _how() -> Iterator[Block]:
    yield Heading("How it was computed")
    yield Text("Dice, IoU, HD95 (the larger 95th percentile of the distances between the surfaces in both directions) "
               "and the mean surface distance by MONAI, in millimetres between voxel centres; what is not defined is "
               "counted, never set to 0 or 1. ROC, calibration and counts by scikit-learn. In brackets 95 % intervals: "
               f"Wilson for shares of answers, else percentiles of {RESAMPLES} draws of whole studies, fixed seed; "
               f"with fewer than {FEWEST} studies there is none. n is the number of cases; for shares of answers, of "
               "answers. Subgroups are as the images say (Manufacturer and model, Patient's Sex, Patient's Age); small "
               "ones show nothing but themselves.")


def _table(head: tuple[str, ...], rows: Sequence[Row], metrics: tuple[str, ...]) -> Table:
    width = 0.76 / len(metrics) if len(metrics) > 1 else 0.4
    return Table(head, tuple((row.group, *(number(row.metrics[name]) for name in metrics)) for row in rows),
                 (0.24, *(width for _ in metrics)))


def number(estimate: Estimate) -> str:
    """The value, its interval, and what it rests on."""
    if estimate.value is None:
        return "not defined"
    interval = "" if estimate.low is None else f" [{_digits(estimate.low)}, {_digits(estimate.high or 0.0)}]"
    return f"{_digits(estimate.value)}{interval} (n = {estimate.n})"


def _digits(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
