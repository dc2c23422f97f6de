"""What an evaluation leaves in a folder: report.html, report.pdf, cases.csv, metrics.json."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from radnode.pipelines.evaluation import pages
from radnode.pipelines.evaluation.report import report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from radnode.pipelines.evaluation.running import CaseResult, Evaluation
    from radnode.pipelines.evaluation.summary import Summary

_HEAD = ("case", "study", "state", "reason", "scanner", "sex", "age", "about", "metric", "value", "unit")
_UNITS = {"found_ml": "mL", "reference_ml": "mL", "hd95_mm": "mm", "assd_mm": "mm", "dice": "1", "iou": "1"}


def write(evaluation: Evaluation, summary: Summary, folder: Path) -> list[Path]:
    """All four, and their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in ("report.html", "report.pdf", "cases.csv", "metrics.json")]
    title = f"{evaluation.manifest.name} {evaluation.manifest.version}, evaluated"
    blocks = report(evaluation, summary)
    paths[0].write_text(pages.to_html(title, blocks), encoding="utf-8")
    pages.to_pdf(title, blocks, evaluation.started, paths[1])
    with paths[2].open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_HEAD)
        writer.writerows(row for result in evaluation.results for row in rows(result))
    paths[3].write_text(json.dumps(as_json(evaluation, summary), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return paths


def rows(result: CaseResult) -> Iterator[tuple[str, ...]]:
    """A line for each value of a case; one without a value for a case that was not compared."""
    case = result.case
    start = (case.uid, case.study_instance_uid, result.state.value, result.reason, *case.subgroups.values())
    values = list(_values(result))
    if not values:
        yield (*start, "", "", "", "")
    for each in values:
        yield (*start, *each)


def as_json(evaluation: Evaluation, summary: Summary) -> dict[str, Any]:
    """Every number of the report, and what it rests on."""
    manifest = evaluation.manifest
    return {
        "pipeline": manifest.name, "version": manifest.version, "model_digest": manifest.model_digest,
        "device": evaluation.device, "started": evaluation.started.isoformat(), "images": evaluation.images,
        "references": evaluation.references, **asdict(summary),
        "unread": [asdict(each) for each in evaluation.unread],
    }


def _values(result: CaseResult) -> Iterator[tuple[str, str, str, str]]:
    """About what, which metric, its value ("" where it is not defined), its unit."""
    for drawn in result.scores.structures:
        for metric, unit in _UNITS.items():
            value = getattr(drawn.overlap, metric)
            yield drawn.label, metric, "" if value is None else f"{value:.6g}", unit
    if result.scores.marks is not None:
        yield "detections", "detections", str(len(result.scores.marks.detections)), "1"
        yield "detections", "marks", str(len(result.scores.marks.marks)), "1"
    for answered in result.scores.answers:
        yield answered.label, "reference", answered.judged.truth, ""
        yield answered.label, "answer", answered.judged.answer, ""
        for name, score in answered.judged.scores.items():
            yield answered.label, f"probability of {name}", f"{score:.6g}", "1"
    for measured in result.scores.measurements:
        yield measured.label, "found", f"{measured.found:.6g}", measured.unit
        yield measured.label, "reference", f"{measured.reference:.6g}", measured.unit
