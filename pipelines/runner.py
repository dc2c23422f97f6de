"""What a worker process does with one job, and the lines it speaks with the node.

    stdin    one WorkOrder per line; {"warm": [pipeline names], "device": name} to load what will soon be needed;
             {"next": WorkOrder} to read ahead what will probably come next
    stdout   {"stage": name} as the run goes on, then one {"report": RunReport} per order
    stderr   everything else, also what libraries print

A run never raises: however it ends, it ends in a report. Whatever a report says about an unexpected error is
the error's kind and place, never its message, which may quote the header of a patient's image.
"""

from __future__ import annotations

import hashlib
import json
import os
import queue
import sys
import threading
import traceback
import warnings
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydicom

from radnode.pipelines import findings_file, isolation, memory, observing, registry
from radnode.pipelines.contract import (
    DEVICE_LOST,
    SCREENINGS,
    IncompleteInput,
    NotProcessed,
    PipelineError,
    ProducedObject,
    RunFailed,
    RunReport,
    RunState,
    WorkOrder,
)
from radnode.pipelines.forms import Wanted, objects_of, send_order
from radnode.pipelines.inferring import infer
from radnode.pipelines.ladder import is_device_lost, is_out_of_memory
from radnode.pipelines.messages import producing
from radnode.pipelines.metering import ProcessMeter
from radnode.pipelines.prefetch import Prefetcher
from radnode.pipelines.progress import Progress
from radnode.pipelines.results import gate, not_processed
from radnode.pipelines.results.identity import Provenance
from radnode.pipelines.results.normalise import read_source
from radnode.pipelines.results.whole_files import write_whole
from radnode.pipelines.results.writers import Written, write
from radnode.pipelines.results.writing import Making
from radnode.pipelines.sources.headers import read_header
from radnode.pipelines.sources.images import read_projections
from radnode.pipelines.sources.priors import EarlierSeries, with_priors
from radnode.pipelines.sources.projections import ImageSelection, select_projections
from radnode.pipelines.sources.screening import select_screening
from radnode.pipelines.sources.select import Selection, SourceInstance, select_stack
from radnode.pipelines.sources.study import StudySelection, read_study, select_study
from radnode.pipelines.sources.volume import read_images
from radnode.pipelines.warm import Warm

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pydicom import Dataset

    from radnode.pipelines.contract import InputInstance, Manifest, StudyImages
    from radnode.pipelines.findings import Findings
    from radnode.pipelines.progress import Emit
    from radnode.pipelines.results.normalise import SourceHeader

NICENESS = 10
"""Of a worker: the receiver in the other process answers first (setpriority(2))."""
_REFUSAL = "NOT-PROCESSED"
_REFUSALS = {_REFUSAL, *producing.REFUSALS}
_HINT = '{"next"'


class DeviceLost(Exception):
    """The accelerator failed: whatever this process asks of it from now on fails as well."""


def run(order: WorkOrder, warm: Warm, emit: Emit, prefetcher: Prefetcher | None = None) -> RunReport:
    """One job from its files to result files that passed the gate.

    Raises :class:`DeviceLost`, nothing else. When memory runs out outside the model, which has ways of its own
    (:mod:`radnode.pipelines.inferring`), what is warm makes room, and it is tried again.
    """
    progress = Progress(emit=emit)
    started = datetime.now(UTC)
    report = _attempt(order, warm, progress, started, prefetcher)
    if report is None:
        if prefetcher is not None:
            prefetcher.stop()
        warm.drop(warm.others(""), order.device)
        report = _attempt(order, warm, progress, started, None)
    if report is None:
        reason = f"out of memory in the step {progress.stage}, also with no model loaded"
        report = _ended(order, progress, RunState.FAILED, reason)
    if report.state in (RunState.NOT_PROCESSED, RunState.FAILED) and _REFUSALS & set(order.forms) \
            and progress.headers:
        return _with_refusal(report, order, warm, progress, started)
    return report


def _attempt(
    order: WorkOrder, warm: Warm, progress: Progress, started: datetime, prefetcher: Prefetcher | None
) -> RunReport | None:
    """None when memory ran out: an exception would hold on to the frames, and so to what is to be freed."""
    try:
        return _steps(order, warm, progress, started, prefetcher)
    except NotProcessed as error:
        return _ended(order, progress, RunState.NOT_PROCESSED, str(error))
    except PipelineError as error:
        return _ended(order, progress, RunState.FAILED, str(error))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code: one study harms only itself
        print(f"job {order.job_key}, {progress.stage}: {type(error).__name__}", file=sys.stderr)  # noqa: T201
        traceback.print_tb(error.__traceback__)
        if is_device_lost(error):
            raise DeviceLost from None
        if is_out_of_memory(error):
            return None
        reason = f"{type(error).__name__} in the step {progress.stage}; the worker's log has the place"
        return _ended(order, progress, RunState.FAILED, reason)


def read_inputs(order: WorkOrder, manifest: Manifest, progress: Progress) -> tuple[StudyImages, SourceHeader]:
    """Select and decode what a job reads. Raises PipelineError."""
    with progress.step("select"):
        headers = progress.headers = [_read_header(instance) for instance in order.instances]
        instances = [SourceInstance(path=Path(instance.path), dataset=header)
                     for instance, header in zip(order.instances, headers, strict=True)]
        selection = _select(instances, manifest)
        progress.excluded = selection.excluded
    with progress.step("decode"):
        images = _read(selection, manifest)
        source = _source(headers, images)
        progress.repairs = source.repairs
    return images, source


def _source(headers: Sequence[Dataset], images: StudyImages) -> SourceHeader:
    """What results say of their images; of several series, the one that results lie on comes first."""
    if not images.projections:
        headers = sorted(headers, key=lambda each: each.SeriesInstanceUID != images.volume.series_instance_uid)
    return read_source(headers, images.volume, images.projections)


def _steps(
    order: WorkOrder, warm: Warm, progress: Progress, started: datetime, prefetcher: Prefetcher | None
) -> RunReport:
    manifest = warm.manifest(order.pipeline, order.model_digest)
    images, source = _taken(order, progress, prefetcher) or read_inputs(order, manifest, progress)
    progress.observed = observing.of_images(images)
    if order.priors or order.prior_remarks:
        with progress.step("priors"):
            images = _with_priors(order, images, progress, manifest)
    findings = _findings(order, warm, images, progress)
    progress.observed = {**progress.observed, **observing.of_findings(findings)}
    provenance = Provenance(manifest=manifest, order=order, started=started)
    folder = Path(order.output_folder)
    with progress.step("write"):
        written = write(findings, source, provenance, objects_of(order.forms))
        files = [_write_file(result, folder) for result in written]
    with progress.step("gate"):
        _pass_gate(written, files, findings, source, provenance)
        messages = producing.results(findings, source, provenance, written)
    with progress.step("keep"):
        kept = folder / "findings.zip"
        findings_file.save(findings, kept)
    state = RunState.NOTHING_FOUND if findings.nothing_found else RunState.FINDINGS
    return replace(
        _ended(order, progress, state, ""),
        objects=(*(_produced(result, path, written) for result, path in zip(written, files, strict=True)), *messages),
        measurements=_measurements(findings),
        remarks=findings.remarks,
        findings=str(kept),
    )


def _select(
    instances: Sequence[SourceInstance], manifest: Manifest
) -> Selection | StudySelection | ImageSelection:
    """What the manifest reads of them. Raises NotProcessed."""
    if manifest.reads in SCREENINGS:
        return select_screening(instances, manifest)
    if manifest.reads != "volume":
        return select_projections(instances, manifest)
    return select_study(instances, manifest) if manifest.inputs else select_stack(instances, manifest)


def _read(selection: Selection | StudySelection | ImageSelection, manifest: Manifest) -> StudyImages:
    if isinstance(selection, ImageSelection):
        return read_projections(selection, manifest)
    if isinstance(selection, StudySelection):
        return read_study(selection, manifest)
    return read_images(selection, manifest.modality)


def _taken(
    order: WorkOrder, progress: Progress, prefetcher: Prefetcher | None
) -> tuple[StudyImages, SourceHeader] | None:
    """What was decoded while the job before this one ran; the headers, and the digests of all bytes, are read anew."""
    if prefetcher is None or not prefetcher.has(order):
        return None
    with progress.step("take over"):
        images = prefetcher.take(order)
        if images is None:
            return None
        headers = progress.headers = [_read_header(instance) for instance in order.instances]
        progress.excluded = images.excluded
        source = _source(headers, images)
        progress.repairs = source.repairs
    return images, source


def _with_priors(order: WorkOrder, images: StudyImages, progress: Progress, manifest: Manifest) -> StudyImages:
    earlier = [
        EarlierSeries(study_date=each.study_date, study_instance_uid=each.study_instance_uid,
                      instances=tuple(SourceInstance(path=Path(one.path), dataset=_read_header(one))
                                      for one in each.instances))
        for each in order.priors
    ]
    return with_priors(images, progress.headers[0], earlier, order.prior_remarks, manifest)


def _with_refusal(
    report: RunReport, order: WorkOrder, warm: Warm, progress: Progress, started: datetime
) -> RunReport:
    """Tell the radiologist as well. Where even that cannot be said of one patient and study, nothing is sent."""
    failed = report.state is RunState.FAILED
    objects: tuple[ProducedObject, ...] = ()
    try:
        with progress.step("refuse"):
            making = Making(
                source=read_source(progress.headers, None),
                provenance=Provenance(manifest=warm.manifest(order.pipeline), order=order, started=started),
                wanted=Wanted(_REFUSAL),
            )
            written: tuple[Written, ...] = ()
            if _REFUSAL in order.forms:
                dataset = not_processed.write_refusal(making, report.reason, failed=failed)
                written = (Written(wanted=making.wanted, number=1, dataset=dataset),)
                path = _write_file(written[0], Path(order.output_folder))
                gate.check_refusal(path, making, report.reason, failed=failed)
                objects = (_produced(written[0], path, ()),)
            objects += producing.refusals(making, report.reason, written, failed=failed)
    except PipelineError as error:
        return replace(report, reason=f"{report.reason}; the radiologist was not told: {error}")
    except Exception as error:  # noqa: BLE001 - headers that broke the run may break this too
        traceback.print_tb(error.__traceback__)
        return replace(report, reason=f"{report.reason}; the radiologist was not told: {type(error).__name__}")
    return replace(report, objects=objects, seconds=dict(progress.seconds))


def _findings(order: WorkOrder, warm: Warm, images: StudyImages, progress: Progress) -> Findings:
    """What the pipeline says, or what it said when it ran."""
    if order.findings:
        with progress.step("recall"):
            return findings_file.load(Path(order.findings), images.volume, images.projections)
    return _with_input_remarks(infer(order.pipeline, order.device, images, warm, progress), images)


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
    path = folder / f"{result.wanted.name}-{result.number}.dcm"
    write_whole(path, lambda file: result.dataset.save_as(file, enforce_file_format=True))
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


def _ended(order: WorkOrder, progress: Progress, state: RunState, reason: str) -> RunReport:
    return RunReport(
        job_key=order.job_key, state=state, reason=reason, excluded=dict(progress.excluded),
        repairs=progress.repairs, seconds=dict(progress.seconds), memory=dict(progress.memory),
        observed=dict(progress.observed),
    )


def main(arguments: Sequence[str]) -> int:
    """Serve orders until stdin ends. arguments: the model store or "", and the resident bytes that end this process."""

    protocol = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    # Whatever a library prints must not end up between two lines of the protocol, even from C.
    os.dup2(2, 1)
    orders = os.fdopen(os.dup(0), "r", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)

    def emit(message: Mapping[str, Any]) -> None:
        protocol.write(json.dumps(message) + "\n")

    os.nice(NICENESS)
    memory.keep_freed()
    isolation.isolate()
    models, limit = Path(arguments[0]) if arguments and arguments[0] else None, int((*arguments, "", "0")[1] or 0)
    warm = Warm(lambda: registry.installed(models=models), ProcessMeter(limit))
    prefetcher = Prefetcher(models, limit // 2)
    for line in _but_hints(orders, prefetcher):
        said = json.loads(line)
        if names := said.get("warm"):
            _load(warm, names, str(said.get("device", "cpu")))
            continue
        try:
            report = run(WorkOrder.from_json(line), warm, emit, prefetcher)
        except DeviceLost:
            return DEVICE_LOST
        emit({"report": json.loads(report.to_json())})
        memory.give_back()
    return 0


def _but_hints(orders: Iterable[str], prefetcher: Prefetcher) -> Iterator[str]:
    """The lines that are to be worked on, in order; a hint is followed at once, whatever is being worked on."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def listen() -> None:
        for line in orders:
            if line.startswith(_HINT):
                prefetcher.begin(WorkOrder.from_json(json.dumps(json.loads(line)["next"])))
            else:
                lines.put(line)
        lines.put(None)

    threading.Thread(target=listen, daemon=True).start()
    while (line := lines.get()) is not None:
        yield line


def _load(warm: Warm, names: Sequence[str], device: str) -> None:
    """Load pipelines before their first job, as long as there is room; what cannot be loaded says so when it runs."""
    for name in names:
        try:
            with suppress(PipelineError):
                if warm.has_room(name, device):
                    warm.pipeline(name, device)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code: its first job will say it
            print(f"{name} cannot be loaded yet: {type(error).__name__}", file=sys.stderr)  # noqa: T201
            warm.drop([name], device)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
