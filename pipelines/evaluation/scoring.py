"""One case: what the pipeline says beside what its references say. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines.evaluation import overlap
from radnode.pipelines.evaluation.answers import Judged
from radnode.pipelines.evaluation.pairing import names_of, pairs
from radnode.pipelines.evaluation.truth import words
from radnode.pipelines.findings import InPatient

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from radnode.pipelines.evaluation.overlap import Overlap
    from radnode.pipelines.evaluation.truth import Answer, Mark, Number, Truth
    from radnode.pipelines.findings import Classification, Detection, Findings, Measurement
    from radnode.pipelines.geometry import Affine


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A structure of one case. name: the same in every case. given: whether the findings have such a segment."""

    name: str
    label: str
    given: bool
    overlap: Overlap


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """The detections of one case and its marks; which labels there are is known when all cases are."""

    detections: tuple[Detection, ...]
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One question of one case."""

    name: str
    label: str
    judged: Judged


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One measurement of one case, both in `unit`."""

    name: str
    label: str
    unit: str
    found: float
    reference: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """All that could be compared of one case. notes: what could not, and why."""

    structures: tuple[Drawn, ...] = ()
    marks: Marked | None = None
    answers: tuple[Answered, ...] = ()
    measurements: tuple[Measured, ...] = ()
    notes: tuple[str, ...] = ()


def score(
    findings: Findings, truth: Truth,
    compare: Callable[[NDArray[np.bool_], NDArray[np.bool_], Affine], Overlap] = overlap.compare,
) -> Scores:
    """Every kind that the references speak of. compare: of two masks, :mod:`radnode.pipelines.evaluation.overlap`."""
    notes = list(truth.notes)
    return Scores(
        structures=tuple(_structures(findings, truth, compare)),
        marks=_marks(findings, truth, notes),
        answers=tuple(answered for right in truth.answers if (answered := _answer(findings, right, notes))),
        measurements=tuple(
            measured for right in truth.numbers if (measured := _measurement(findings, right, notes))),
        notes=tuple(notes),
    )


def _structures(
    findings: Findings, truth: Truth, compare: Callable[[NDArray[np.bool_], NDArray[np.bool_], Affine], Overlap]
) -> list[Drawn]:
    if not truth.structures:
        return []
    volume = findings.grid
    nothing = np.zeros(volume.voxels.shape, dtype=np.bool_)
    return [
        Drawn(name=pair.name, label=pair.label, given=pair.found is not None,
              overlap=compare(nothing if pair.found is None else pair.found, pair.reference, volume.affine))
        for pair in pairs(truth.structures, findings.segments)
    ]


def _marks(findings: Findings, truth: Truth, notes: list[str]) -> Marked | None:
    if truth.marks is None:
        return None
    if truth.marks and all(isinstance(each.at, InPatient) for each in truth.marks) != (findings.volume is not None):
        notes.append("the marks lie in the patient and the detections on images, or the other way round; they were not "
                     "compared")
        return None
    return Marked(detections=findings.detections, marks=truth.marks)


def _answer(findings: Findings, right: Answer, notes: list[str]) -> Answered | None:
    asked = words(right.name)
    keys = {each.key for each in findings.segments} | {each.key for each in findings.detections}
    keys |= {each.key for each in findings.composites}
    given = [each for each in findings.classifications if each.of not in keys
             and asked in {words(each.name.meaning), words(each.name.value), words(each.key)}]
    if not given:
        notes.append(f"the pipeline gave no answer to {right.name!r}")
        return None
    if len({(each.of, each.frame_number, each.laterality) for each in given}) > 1:
        notes.append(f"the pipeline answered {right.name!r} for several images or sides, the reference once; they were "
                     "not compared")
        return None
    best = max(given, key=lambda each: -1.0 if each.certainty is None else each.certainty)
    return Answered(name=asked, label=right.name, judged=Judged(
        truth=words(right.value), answer=words(best.value.meaning), scores=_scores(given)))


def _scores(given: Sequence[Classification]) -> dict[str, float]:
    return {words(each.value.meaning): each.certainty for each in given if each.certainty is not None}


def _measurement(findings: Findings, right: Number, notes: list[str]) -> Measured | None:
    label = f"{right.name} of {right.of}"
    given = [each for each in findings.measurements if words(right.of) in names_of(findings, each.of)
             and words(right.name) in _names(each)]
    if len(given) != 1:
        notes.append(f"{label}: the pipeline gave {'none' if not given else f'{len(given)} such numbers'}")
        return None
    if _unit(given[0].unit.value) != _unit(right.unit):
        notes.append(f"{label}: the pipeline measures in {given[0].unit.value}, the reference in {right.unit}; they "
                     "were not compared")
        return None
    return Measured(name=f"{words(right.of)}: {words(right.name)}", label=label, unit=given[0].unit.value,
                    found=given[0].value, reference=right.value)


def _names(measured: Measurement) -> set[str]:
    method = f" {measured.method.meaning}" if measured.method else ""
    return {words(measured.name.meaning), words(measured.name.value), words(f"{measured.name.meaning}{method}")}


def _unit(ucum: str) -> str:
    """UCUM has two letters for the litre."""
    return ucum.strip().replace("L", "l")
