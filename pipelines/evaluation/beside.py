"""The findings of a job beside a corrected object, or beside those of another job: `python -m …evaluation.beside`.

    stdin    {"order": WorkOrder, "models": folder, "findings": file, "object": file}, or "other": file for "object"
    stdout   {"structures": [...], "measurements": [...]} or {"refused": reason}

A process for each question: what was received is decoded here, and nowhere else (as images are by a worker).
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radnode.pipelines import findings_file, isolation, registry
from radnode.pipelines.contract import PipelineError, WorkOrder
from radnode.pipelines.evaluation.overlap import shares
from radnode.pipelines.evaluation.references import find_one
from radnode.pipelines.evaluation.scoring import score
from radnode.pipelines.evaluation.truth import ReferenceRefused, Structure, Truth
from radnode.pipelines.progress import Progress
from radnode.pipelines.runner import NICENESS, read_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from radnode.pipelines.evaluation.scoring import Scores
    from radnode.pipelines.findings import Findings


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureBeside:
    """dice: None for what only the other one has. Volumes in millilitres; reference: the corrected or other one."""

    name: str
    dice: float | None
    found_ml: float
    reference_ml: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementBeside:
    """One measurement in both, in `unit`."""

    name: str
    unit: str
    found: float
    reference: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """All that could be compared."""

    structures: tuple[StructureBeside, ...] = ()
    measurements: tuple[MeasurementBeside, ...] = field(default=())


def of_object(findings: Findings, path: Path) -> Beside:
    """What somebody else says of the same images. Raises ReferenceRefused where none of it is about these findings."""
    return _told(score(findings, find_one(path).read(findings), shares))


def of_findings(findings: Findings, other: Findings) -> Beside:
    """What another job says of them: its segments. Raises ReferenceRefused where they share none."""
    truth = Truth(structures=tuple(
        Structure(label=each.label, voxels=each.mask, type=each.type, laterality=each.laterality)
        for each in other.segments if each.on is None
    ))
    return _told(score(findings, truth, shares))


def _told(scores: Scores) -> Beside:
    """A structure that the findings have not is listed without a Dice: nobody drew it, or it has another name."""
    if not any(each.given for each in scores.structures) and not scores.measurements:
        why = scores.notes[0] if scores.notes else "it names nothing that the pipeline found"
        raise ReferenceRefused(why)
    return Beside(
        structures=tuple(
            StructureBeside(name=each.label, dice=each.overlap.dice if each.given else None,
                            found_ml=each.overlap.found_ml, reference_ml=each.overlap.reference_ml)
            for each in scores.structures),
        measurements=tuple(
            MeasurementBeside(name=each.label, unit=each.unit, found=each.found, reference=each.reference)
            for each in scores.measurements),
    )


def answer(asked: Mapping[str, Any]) -> dict[str, Any]:
    """One question. Never raises: foreign bytes and code are in it."""
    try:
        order = WorkOrder.from_json(json.dumps(asked["order"]))
        models = Path(asked["models"]) if asked.get("models") else None
        manifest = registry.installed(models=models).manifests.get(order.pipeline)
        if manifest is None:
            return {"refused": f"the pipeline {order.pipeline} is no longer installed"}
        images, _ = read_inputs(order, manifest, Progress(emit=lambda _: None))
        findings = findings_file.load(Path(asked["findings"]), images.volume, images.projections)
        if asked.get("object"):
            return asdict(of_object(findings, Path(asked["object"])))
        other = findings_file.load(Path(asked["other"]), images.volume, images.projections)
        return asdict(of_findings(findings, other))
    except (PipelineError, ReferenceRefused) as error:
        return {"refused": str(error)}
    except (Exception, SystemExit) as error:  # noqa: BLE001 - what a stranger wrote, read by libraries
        traceback.print_tb(error.__traceback__)
        return {"refused": f"it cannot be compared ({type(error).__name__})"}


def main() -> int:
    """One question from stdin."""
    said = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    os.nice(NICENESS)
    asked = json.loads(sys.stdin.read())
    isolation.isolate()
    said.write(json.dumps(answer(asked)) + "\n")
    said.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
