"""What a worker process does with one job, and the lines it speaks with the node.

    stdin    one WorkOrder per line, or {"warm": [pipeline names]} to load what will soon be needed
    stdout   {"stage": name} as the run goes on, then one {"report": RunReport} per order
    stderr   everything else, also what libraries print

A run never raises: however it ends, it ends in a report. Whatever a report says about an unexpected error is
the error's kind and place, never its message, which may quote the header of a patient's image.
"""

from __future__ import annotations

import ctypes
import gc
import hashlib
import json
import os
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydicom

from radnode.pipelines import findings_file, isolation, memory, registry
from radnode.pipelines.contract import (
    DEVICE_LOST,
    IncompleteInput,
    NotProcessed,
    PipelineError,
    ProducedObject,
    RunContext,
    RunFailed,
    RunReport,
    RunState,
    WorkOrder,
)
from radnode.pipelines.forms import Wanted, send_order
from radnode.pipelines.results import Written, gate, not_processed, write
from radnode.pipelines.results.identity import Provenance
from radnode.pipelines.results.normalise import read_source
from radnode.pipelines.results.writing import Making
from radnode.pipelines.sources.headers import read_header
from radnode.pipelines.sources.images import read_projections
from radnode.pipelines.sources.projections import ImageSelection, select_projections
from radnode.pipelines.sources.select import Selection, SourceInstance, select_stack
from radnode.pipelines.sources.study import StudySelection, read_study, select_study
from radnode.pipelines.sources.volume import read_images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pydicom import Dataset

    from radnode.pipelines.contract import InputInstance, Manifest, Pipeline, StudyImages
    from radnode.pipelines.findings import Findings
    from radnode.pipelines.registry import Registry
    from radnode.pipelines.results.normalise import SourceHeader

    Emit = Callable[[Mapping[str, Any]], None]


NICENESS = 10
"""Of a worker: the receiver in the other process answers first (setpriority(2))."""
_PR_SET_PDEATHSIG = 1
_REFUSAL = "NOT-PROCESSED"


class DeviceLost(Exception):
    """The accelerator failed: whatever this process asks of it from now on fails as well."""


class Warm:
    """The pipelines of this process: each is loaded when first asked for, and stays.

    installed: what there is, asked again when a pipeline or a version of it is wanted that was not there before.
    """

    def __init__(self, installed: Callable[[], Registry]) -> None:
        self._installed = installed
        self._registry = installed()
        self._loaded: dict[str, Pipeline] = {}

    def manifest(self, name: str, model_digest: str = "") -> Manifest:
        """model_digest: of the model that is wanted, if that matters. Raises RunFailed for what is not installed."""
        known = self._registry.manifests.get(name)
        if known is None or model_digest not in ("", known.model_digest):
            self._registry = self._installed()
            self._loaded.pop(name, None)
            known = self._registry.manifests.get(name)
        if known is None:
            raise RunFailed(f"pipeline {name} is not installed where this worker runs")
        if model_digest not in ("", known.model_digest):
            raise RunFailed(f"pipeline {name} has another model than the job was made for; run the study again")
        return known

    def pipeline(self, name: str) -> Pipeline:
        """Raises RunFailed for a pipeline that cannot be loaded."""
        self.manifest(name)
        if name not in self._loaded:
            self._loaded[name] = registry.load(self._registry, name)
        return self._loaded[name]

    def drop(self) -> None:
        """Free what the pipelines hold, after memory ran out."""
        self._loaded.clear()
        gc.collect()
        if torch := sys.modules.get("torch"):
            torch.cuda.empty_cache()


@dataclass(slots=True, kw_only=True)
class _Progress:
    """How far a run is; what it knows is in the report however it ends."""

    emit: Emit
    stage: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    headers: Sequence[Dataset] = ()
    excluded: Mapping[str, str] = field(default_factory=dict)
    repairs: tuple[str, ...] = ()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        self.stage = name
        self.emit({"stage": name})
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(time.perf_counter() - began, 3)

    def within(self, part: str) -> None:
        """What a pipeline says about how far it is."""
        self.emit({"stage": f"{self.stage}: {part}"})


def run(order: WorkOrder, warm: Warm, emit: Emit) -> RunReport:
    """One job from its files to result files that passed the gate.

    Raises :class:`DeviceLost`, nothing else. When memory runs out all that is warm is dropped, and it is tried again.
    """
    progress = _Progress(emit=emit)
    started = datetime.now(UTC)
    report = _attempt(order, warm, progress, started)
    if report is None:
        warm.drop()
        report = _attempt(order, warm, progress, started)
    if report is None:
        warm.drop()
        report = _ended(order, progress, RunState.FAILED, f"out of memory in the step {progress.stage}, twice")
    if report.state in (RunState.NOT_PROCESSED, RunState.FAILED) and _REFUSAL in order.forms and progress.headers:
        return _with_refusal(report, order, warm, progress, started)
    return report


def _attempt(order: WorkOrder, warm: Warm, progress: _Progress, started: datetime) -> RunReport | None:
    """None when memory ran out: an exception would hold on to the frames, and so to what is to be freed."""
    try:
        return _steps(order, warm, progress, started)
    except NotProcessed as error:
        return _ended(order, progress, RunState.NOT_PROCESSED, str(error))
    except PipelineError as error:
        return _ended(order, progress, RunState.FAILED, str(error))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code: one study harms only itself
        print(f"job {order.job_key}, {progress.stage}: {type(error).__name__}", file=sys.stderr)  # noqa: T201
        traceback.print_tb(error.__traceback__)
        if _device_lost(error):
            raise DeviceLost from None
        if _out_of_memory(error):
            return None
        reason = f"{type(error).__name__} in the step {progress.stage}; the worker's log has the place"
        return _ended(order, progress, RunState.FAILED, reason)


def _steps(order: WorkOrder, warm: Warm, progress: _Progress, started: datetime) -> RunReport:
    manifest = warm.manifest(order.pipeline, order.model_digest)
    with progress.step("select"):
        headers = progress.headers = [_read_header(instance) for instance in order.instances]
        instances = [SourceInstance(path=Path(instance.path), dataset=header)
                     for instance, header in zip(order.instances, headers, strict=True)]
        selection = _select(instances, manifest)
        progress.excluded = selection.excluded
    with progress.step("decode"):
        images = _read(selection, manifest)
        own_first = headers if images.projections else sorted(
            headers, key=lambda each: each.SeriesInstanceUID != images.volume.series_instance_uid
        )
        source = read_source(own_first, images.volume, images.projections)
        progress.repairs = source.repairs
    findings = _findings(order, warm, images, progress)
    provenance = Provenance(manifest=manifest, order=order, started=started)
    folder = Path(order.output_folder)
    with progress.step("write"):
        written = write(findings, source, provenance, order.forms)
        files = [_write_file(result, folder) for result in written]
    with progress.step("gate"):
        _pass_gate(written, files, findings, source, provenance)
    with progress.step("keep"):
        kept = folder / "findings.zip"
        findings_file.save(findings, kept)
    state = RunState.NOTHING_FOUND if findings.nothing_found else RunState.FINDINGS
    return replace(
        _ended(order, progress, state, ""),
        objects=tuple(_produced(result, path, written) for result, path in zip(written, files, strict=True)),
        measurements=_measurements(findings),
        remarks=findings.remarks,
        findings=str(kept),
    )


def _select(
    instances: Sequence[SourceInstance], manifest: Manifest
) -> Selection | StudySelection | ImageSelection:
    """What the manifest reads of them. Raises NotProcessed."""
    if manifest.reads != "volume":
        return select_projections(instances, manifest)
    return select_study(instances, manifest) if manifest.inputs else select_stack(instances, manifest)


def _read(selection: Selection | StudySelection | ImageSelection, manifest: Manifest) -> StudyImages:
    if isinstance(selection, ImageSelection):
        return read_projections(selection, manifest)
    if isinstance(selection, StudySelection):
        return read_study(selection, manifest)
    return read_images(selection, manifest.modality)


def _with_refusal(
    report: RunReport, order: WorkOrder, warm: Warm, progress: _Progress, started: datetime
) -> RunReport:
    """Tell the radiologist as well. Where even that cannot be said of one patient and study, nothing is sent."""
    failed = report.state is RunState.FAILED
    try:
        with progress.step("refuse"):
            making = Making(
                source=read_source(progress.headers, None),
                provenance=Provenance(manifest=warm.manifest(order.pipeline), order=order, started=started),
                wanted=Wanted(_REFUSAL),
            )
            written = Written(wanted=making.wanted, number=1,
                              dataset=not_processed.write_refusal(making, report.reason, failed=failed))
            path = _write_file(written, Path(order.output_folder))
            gate.check_refusal(path, making, report.reason, failed=failed)
    except PipelineError as error:
        return replace(report, reason=f"{report.reason}; the radiologist was not told: {error}")
    except Exception as error:  # noqa: BLE001 - headers that broke the run may break this too
        traceback.print_tb(error.__traceback__)
        return replace(report, reason=f"{report.reason}; the radiologist was not told: {type(error).__name__}")
    return replace(report, objects=(_produced(written, path, ()),), seconds=dict(progress.seconds))


def _findings(order: WorkOrder, warm: Warm, images: StudyImages, progress: _Progress) -> Findings:
    """What the pipeline says, or what it said when it ran."""
    if order.findings:
        with progress.step("recall"):
            return findings_file.load(Path(order.findings), images.volume, images.projections)
    with progress.step("infer"):
        context = RunContext(device=order.device, stage=progress.within)
        return _with_input_remarks(warm.pipeline(order.pipeline).run(images, context), images)


def _read_header(instance: InputInstance) -> Dataset:
    """The header of one input, after its bytes were compared with the digest that the result will name."""
    path = Path(instance.path)
    try:
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
            if digest != instance.digest:
                raise RunFailed(f"instance {instance.sop_instance_uid} is not the bytes that were received")
            content.seek(0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return read_header(content)
    except (OSError, pydicom.errors.InvalidDicomError, EOFError) as error:
        raise IncompleteInput(
            f"instance {instance.sop_instance_uid} cannot be read ({type(error).__name__})"
        ) from error


def _with_input_remarks(findings: Findings, images: StudyImages) -> Findings:
    """Whatever was unusual about the input is said in the result, whether the pipeline repeats it or not."""
    said = list(findings.remarks)
    said += [note for note in images.notes if note not in said]
    if images.excluded:
        reasons = Counter(images.excluded.values()).most_common(5)
        counted = "; ".join(f"{count} x {reason}" for reason, count in reasons)
        said.append(f"{len(images.excluded)} received images were not read: {counted}.")
    return replace(findings, remarks=tuple(said))


def _write_file(result: Written, folder: Path) -> Path:
    """A result file is whole under its name or absent: a worker may be killed at any moment."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result.wanted.name}-{result.number}.dcm"
    partial = path.with_suffix(".part")
    with partial.open("wb") as file:
        result.dataset.save_as(file, enforce_file_format=True)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return path


def _pass_gate(
    written: Sequence[Written], files: Sequence[Path], findings: Findings, source: SourceHeader, provenance: Provenance
) -> None:
    objects: dict[str, list[Path]] = {}
    for result, path in zip(written, files, strict=True):
        objects.setdefault(result.wanted.name, []).append(path)
    try:
        gate.check(objects, findings, source, provenance)
    except gate.GateRefused:
        for path in files:
            path.unlink()
        raise


def _produced(result: Written, path: Path, written: Sequence[Written]) -> ProducedObject:
    dataset = result.dataset
    beside = [str(other.dataset.SOPInstanceUID) for other in written if other.wanted.name == result.wanted.beside]
    return ProducedObject(
        name=result.wanted.name,
        form=result.wanted.form,
        order=send_order(result.wanted.name),
        path=str(path),
        sop_class_uid=str(dataset.SOPClassUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        series_instance_uid=str(dataset.SeriesInstanceUID),
        transfer_syntax_uid=str(dataset.file_meta.TransferSyntaxUID),
        references=tuple(beside),
    )


def _measurements(findings: Findings) -> tuple[dict[str, Any], ...]:
    labels = {segment.key: segment.label for segment in findings.segments}
    labels |= {detection.key: detection.label for detection in findings.detections}
    labels |= {composite.key: composite.label for composite in findings.composites}
    return tuple(
        {"of": measurement.of, "label": labels.get(measurement.of, ""), "name": measurement.name.meaning,
         "value": measurement.value, "unit": measurement.unit.value,
         "method": measurement.method.meaning if measurement.method else ""}
        for measurement in findings.measurements
    )


def _ended(order: WorkOrder, progress: _Progress, state: RunState, reason: str) -> RunReport:
    return RunReport(
        job_key=order.job_key, state=state, reason=reason, excluded=dict(progress.excluded),
        repairs=progress.repairs, seconds=dict(progress.seconds),
    )


def _out_of_memory(error: BaseException) -> bool:
    """Python's, numpy's, and torch's (on a device by class, on the CPU only by its words)."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "allocate memory" in str(error))
    )


def _device_lost(error: BaseException) -> bool:
    """CUDA's errors but for memory: by class in torch from 2.8, by their first words before."""
    return not _out_of_memory(error) and (
        type(error).__name__ == "AcceleratorError"
        or (isinstance(error, RuntimeError) and str(error).startswith(("CUDA error", "cuDNN error", "HIP error")))
    )


def main(arguments: Sequence[str]) -> int:
    """Serve orders until stdin ends. arguments: the model store, if there is one."""

    protocol = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    # Whatever a library prints must not end up between two lines of the protocol, even from C.
    os.dup2(2, 1)
    orders = os.fdopen(os.dup(0), "r", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)

    def emit(message: Mapping[str, Any]) -> None:
        protocol.write(json.dumps(message) + "\n")

    _end_with_parent()
    os.nice(NICENESS)
    memory.keep_freed()
    isolation.isolate()
    models = Path(arguments[0]) if arguments else None
    warm = Warm(lambda: registry.installed(models=models))
    for line in orders:
        if names := json.loads(line).get("warm"):
            _load(warm, names)
            continue
        try:
            report = run(WorkOrder.from_json(line), warm, emit)
        except DeviceLost:
            return DEVICE_LOST
        emit({"report": json.loads(report.to_json())})
        memory.give_back()
    return 0


def _load(warm: Warm, names: Sequence[str]) -> None:
    """Load pipelines before their first job; one that cannot be loaded says so when it is to run."""
    for name in names:
        try:
            warm.pipeline(name)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code: it harms no other pipeline
            print(f"pipeline {name} cannot be loaded: {type(error).__name__}", file=sys.stderr)  # noqa: T201


def _end_with_parent() -> None:
    """A node that was killed must not leave a worker behind that goes on computing (Linux, prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
