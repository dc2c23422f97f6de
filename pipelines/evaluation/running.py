"""A pipeline over every case of a folder, one after the other, compared with its references.

A case that is refused or fails is counted and listed with its reason, and so is a reference that was not used.
"""

from __future__ import annotations

import sys
import tempfile
import traceback
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines import registry
from radnode.pipelines.contract import NotProcessed, PipelineError, RunFailed
from radnode.pipelines.evaluation import cases as casework
from radnode.pipelines.evaluation.naming import Unread, case_of
from radnode.pipelines.evaluation.pairing import pairs
from radnode.pipelines.evaluation.references import find
from radnode.pipelines.evaluation.scoring import Scores, score
from radnode.pipelines.evaluation.truth import ReferenceRefused, Truth, merged
from radnode.pipelines.inferring import infer
from radnode.pipelines.inspection import order_of_files
from radnode.pipelines.ladder import is_device_lost
from radnode.pipelines.progress import Progress
from radnode.pipelines.results.overlay import Outline, overlay_png
from radnode.pipelines.results.windows import window_for
from radnode.pipelines.runner import read_inputs
from radnode.pipelines.warm import Warm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from radnode.pipelines.contract import Manifest
    from radnode.pipelines.evaluation.cases import Case
    from radnode.pipelines.evaluation.naming import Reference
    from radnode.pipelines.findings import Findings

FOUND_RGB, REFERENCE_RGB = (235, 120, 60), (70, 200, 235)


class CaseState(StrEnum):
    """How far a case came."""

    COMPARED = "compared"
    NOT_PROCESSED = "not processed"
    FAILED = "failed"
    REFERENCE_REFUSED = "reference refused"
    NO_REFERENCE = "without a reference"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """One case. reason: why it was not compared. picture: a PNG of what was found over what was drawn, if both lie on
    slices.
    """

    case: Case
    state: CaseState
    reason: str = ""
    scores: Scores = field(default_factory=Scores)
    picture: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """All cases of a folder, those without a reference too. images: how many files the folder holds.

    series_left_out: series that the pipeline does not read. unread: references that were not used.
    """

    manifest: Manifest
    device: str
    started: datetime
    images: int
    series_left_out: int
    references: int
    results: tuple[CaseResult, ...]
    unread: tuple[Unread, ...]


def evaluate(
    pipeline: str, data: Path, reference: Path, *, labels: Mapping[int, str], models: Path, device: str,
    told: Callable[[int, int, CaseResult], None] = lambda _number, _of, _result: None,
) -> Evaluation:
    """Run a pipeline or a model of the store over a folder of images. told: after each case.

    Raises RunFailed for a pipeline that is not installed, for a folder without images or without references.
    """
    warm = Warm(lambda: registry.installed(models=models))
    manifest = warm.manifest(pipeline)
    images = casework.read_images(data)
    cases = casework.group(images, manifest)
    if not cases:
        raise RunFailed(f"there are no {manifest.modality} images in {data} that {pipeline} could read")
    found, unread = find(reference, labels)
    if not found:
        reasons = "".join(f"; {each.source}: {each.reason}" for each in unread[:5])
        raise RunFailed(f"there is no reference in {reference}{reasons}")
    of_case, foreign = assign(found, cases)
    evaluation = Evaluation(
        manifest=manifest, device=device, started=datetime.now(UTC), images=len(images), references=len(found),
        series_left_out=len({each.series_instance_uid for each in images})
        - len({uid for case in cases for uid in case.series_instance_uids}),
        results=(), unread=(),
    )
    unread += foreign
    results = []
    for number, case in enumerate(cases, start=1):
        result = _run(case, of_case.get(case.uid, []), warm, pipeline, device, unread)
        results.append(result)
        told(number, len(cases), result)
    return replace(evaluation, results=tuple(results), unread=tuple(unread))


def assign(
    references: Sequence[Reference], cases: Sequence[Case]
) -> tuple[dict[str, list[Reference]], list[Unread]]:
    """The references of each case by its UID, and those of none, with the reason. Pure."""
    found: dict[str, list[Reference]] = {}
    foreign = []
    for reference in references:
        case = case_of(reference, cases)
        if isinstance(case, str):
            about = f" ({reference.name})" if reference.name else ""
            foreign.append(Unread(source=f"{reference.source}{about}", reason=case))
        else:
            found.setdefault(case.uid, []).append(reference)
    return found, foreign


def _run(
    case: Case, references: Sequence[Reference], warm: Warm, pipeline: str, device: str, unread: list[Unread]
) -> CaseResult:
    if not references:
        return CaseResult(case=case, state=CaseState.NO_REFERENCE, reason="no reference names it; it was not run")
    found = _found(case, warm, pipeline, device)
    if isinstance(found, CaseResult):
        return found
    try:
        truth = _truth(references, found, unread)
    except ReferenceRefused as error:
        return CaseResult(case=case, state=CaseState.REFERENCE_REFUSED, reason=str(error))
    return CaseResult(case=case, state=CaseState.COMPARED, scores=score(found, truth),
                      picture=_picture(found, truth, case.images[0].modality))


def _found(case: Case, warm: Warm, pipeline: str, device: str) -> Findings | CaseResult:
    progress = Progress(emit=lambda _: None)
    try:
        order = replace(order_of_files(case.uid, [each.path for each in case.images], pipeline), device=device)
        images, _ = read_inputs(order, warm.manifest(pipeline), progress)
        return infer(pipeline, device, images, warm, progress)
    except NotProcessed as error:
        return CaseResult(case=case, state=CaseState.NOT_PROCESSED, reason=str(error))
    except PipelineError as error:
        return CaseResult(case=case, state=CaseState.FAILED, reason=str(error))
    except (Exception, SystemExit) as error:  # foreign code: one study harms only itself
        traceback.print_tb(error.__traceback__, file=sys.stderr)
        if is_device_lost(error):
            raise RunFailed(f"{device} failed; nothing more can be computed on it in this process") from error
        return CaseResult(case=case, state=CaseState.FAILED,
                          reason=f"{type(error).__name__} in the step {progress.stage}")


def _truth(references: Sequence[Reference], findings: Findings, unread: list[Unread]) -> Truth:
    """Of all that can be read. Raises ReferenceRefused where none can."""
    read = []
    for reference in references:
        try:
            read.append((reference.source, reference.read(findings)))
        except ReferenceRefused as error:
            unread.append(Unread(source=reference.source, reason=str(error)))
            refused = error
    if not read:
        raise refused
    return merged(read)


def _picture(findings: Findings, truth: Truth, modality: str) -> bytes:
    """The worst and the middle case are shown; which ones those are is known at the end."""
    if findings.volume is None or not truth.structures:
        return b""
    given = [pair for pair in pairs(truth.structures, findings.segments) if pair.found is not None]
    drawn = [each.reference for each in given]
    found = [each.found for each in given if each.found is not None]
    outlines = [
        Outline(label=label, mask=np.asarray(np.logical_or.reduce(masks)), rgb=rgb)
        for label, masks, rgb in (("found", found, FOUND_RGB), ("reference", drawn, REFERENCE_RGB))
        if masks and np.logical_or.reduce(masks).any()
    ]
    if not outlines:
        return b""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "overlay.png"
        window = window_for(modality, findings.volume, [each.mask for each in outlines])
        overlay_png(findings.volume, outlines, path, window=window)
        return path.read_bytes()
