"""One job in a worker: from files to results that passed the gate, and every way to end without them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from support import result_samples as samples
from support import sample_pipelines

from radnode.pipelines import registry, runner
from radnode.pipelines.contract import DEVICE_LOST, InputInstance, RunReport, RunState, WorkOrder
from radnode.pipelines.forms import plan
from radnode.pipelines.results import identity
from radnode.pipelines.warm import Warm

if TYPE_CHECKING:
    from collections.abc import Mapping

STEPS = ["select", "decode", "load", "infer", "write", "gate", "keep"]


def _order(folder: Path, **changes: Any) -> WorkOrder:
    """A series of six slices as files, and the order to read it."""
    instances = []
    folder.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(7)
    for header in samples.stack():
        pixels = noise.integers(150, 250, (24, 32)).astype("<u2").tobytes()
        content = (
            samples.encoded(header) + b"\xe0\x7f\x10\x00OW\0\0" + len(pixels).to_bytes(4, "little") + pixels
        )
        path = folder / f"{header.SOPInstanceUID}.dcm"
        path.write_bytes(content)
        instances.append(
            InputInstance(
                sop_instance_uid=str(header.SOPInstanceUID),
                series_instance_uid=samples.SERIES,
                digest=hashlib.sha256(content).hexdigest(),
                path=str(path),
            )
        )
    order = samples.order(
        samples.stack(), pipeline="sample", instances=tuple(instances), output_folder=str(folder / "out")
    )
    return replace(order, **changes)


class _Worker:
    """The runner in this process, with one pipeline of a third party installed."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, extra: str = "") -> None:
        package = f"pipeline_{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
        monkeypatch.syspath_prepend(sample_pipelines.install(folder / "site", package=package, extra=extra))
        self.warm = Warm(registry.installed)
        self.said: list[Mapping[str, Any]] = []

    def run(self, order: WorkOrder) -> RunReport:
        return runner.run(order, self.warm, self.said.append)

    @property
    def stages(self) -> list[str]:
        return [str(message["stage"]) for message in self.said]


def _files(order: WorkOrder) -> list[str]:
    folder = Path(order.output_folder)
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_a_run_ends_in_results_that_passed_the_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker, order = _Worker(tmp_path, monkeypatch), _order(tmp_path / "in")
    report = worker.run(order)
    assert report.reason == ""
    assert report.state is RunState.FINDINGS
    assert [produced.form for produced in report.objects] == ["SEG", "TID1500"]
    assert [produced.name for produced in report.objects] == ["SEG", "TID1500+SEG"]
    orders = [produced.order for produced in report.objects]
    assert orders == sorted(set(orders))
    assert _files(order) == ["SEG-1.dcm", "TID1500+SEG-1.dcm", "findings.zip"]
    assert worker.stages == ["select", "decode", "load", "infer", "infer: boxes", "write", "gate", "keep"]
    assert list(report.seconds) == STEPS
    assert report.measurements[0]["of"] == "box"
    assert report.remarks == ("A box is no organ.",)


def test_the_report_refers_to_the_segmentation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmentation, report = _Worker(tmp_path, monkeypatch).run(_order(tmp_path / "in")).objects
    assert report.references == (segmentation.sop_instance_uid,)
    assert segmentation.references == ()


def test_the_same_order_twice_gives_the_same_uids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker, order = _Worker(tmp_path, monkeypatch), _order(tmp_path / "in")
    first, second = worker.run(order), worker.run(order)
    assert [each.sop_instance_uid for each in first.objects] == [
        each.sop_instance_uid for each in second.objects
    ]
    assert [each.sop_instance_uid for each in worker.run(replace(order, revision=2)).objects] == [
        each.sop_instance_uid for each in first.objects
    ], "a node that lost its database counts revisions anew"
    another = worker.run(replace(order, job_key="another"))
    assert {each.sop_instance_uid for each in another.objects}.isdisjoint(
        each.sop_instance_uid for each in first.objects
    )


def test_every_uid_of_a_repeated_result_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker, order = _Worker(tmp_path, monkeypatch), _order(tmp_path / "in")

    def uids() -> list[str]:
        worker.run(order)
        return [
            str(element.value)
            for name in ("SEG-1.dcm", "TID1500+SEG-1.dcm")
            for element in pydicom.dcmread(Path(order.output_folder) / name).iterall()
            if element.VR == "UI"
        ]

    assert uids() == uids()


@pytest.mark.catalogue("R10")
def test_nothing_found_is_an_answer_with_a_report_and_without_a_segmentation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = _Worker(tmp_path, monkeypatch, sample_pipelines.NOTHING).run(_order(tmp_path / "in"))
    assert report.state is RunState.NOTHING_FOUND
    assert [produced.form for produced in report.objects] == ["TID1500"]


@pytest.mark.parametrize(("extra", "state", "says"), [
    ("raise NotProcessed('only adults')", RunState.NOT_PROCESSED, "only adults"),
    ("raise RunFailed('no convergence')", RunState.FAILED, "no convergence"),
    ("raise MemoryError", RunState.FAILED, "out of memory in the step infer"),
    ("raise type('OutOfMemoryError', (Exception,), {})", RunState.FAILED, "out of memory in the step infer"),
    ("np.zeros(1 << 46)", RunState.FAILED, "out of memory in the step infer"),
    ("sys.exit(3)", RunState.FAILED, "SystemExit in the step infer"),
    ("return None", RunState.FAILED, "AttributeError in the step infer"),
    ("raise RecursionError", RunState.FAILED, "RecursionError in the step infer"),
])  # fmt: skip
def test_however_a_pipeline_ends_the_run_ends_in_a_report(
    extra: str, state: RunState, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = _order(tmp_path / "in")
    report = _Worker(tmp_path, monkeypatch, extra).run(order)
    assert report.state is state
    assert says in report.reason
    assert report.objects == ()
    assert _files(order) == []
    assert list(report.seconds) == STEPS[:4]


@pytest.mark.goal("names")
@pytest.mark.catalogue("I10")
def test_neither_the_report_nor_the_log_quotes_an_unexpected_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    report = _Worker(tmp_path, monkeypatch, "raise ValueError('Mül' + 'ler^Änne')").run(
        _order(tmp_path / "in")
    )
    assert "ValueError" in report.reason
    shown = capfd.readouterr()
    assert "ValueError" in shown.err
    assert "code.py" in shown.err
    assert "Müller" not in report.to_json() + shown.out + shown.err


def test_a_pipeline_stays_warm_until_memory_ran_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = "if os.environ.get('SAMPLE_OUT_OF_MEMORY'): raise MemoryError"
    worker, order = _Worker(tmp_path, monkeypatch, extra), _order(tmp_path / "in")
    worker.run(order)
    first = worker.warm.pipeline("sample")
    assert worker.warm.pipeline("sample") is first
    monkeypatch.setenv("SAMPLE_OUT_OF_MEMORY", "1")
    worker.run(order)
    assert worker.warm.pipeline("sample") is not first


def _rewritten(order: WorkOrder, path: Path, content: bytes) -> WorkOrder:
    """The order over an image that came with other bytes."""
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    instances = [replace(each, digest=digest) if each.path == str(path) else each for each in order.instances]
    return replace(order, instances=tuple(instances))


@pytest.mark.catalogue("D15")
@pytest.mark.parametrize(("element", "says"), [
    (b"\x28\0\x53\x10DS\2\x002 ", "RescaleSlope"), (b"\x18\0\x50\0DS\2\x005 ", "SliceThickness"),
], ids=["there twice", "out of order"])  # fmt: skip
def test_an_ambiguous_image_is_not_read_and_the_attribute_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, element: bytes, says: str
) -> None:
    order = _order(tmp_path / "in")
    path = Path(order.instances[2].path)
    content = path.read_bytes()
    at = content.index(b"\xe0\x7f\x10\x00OW")
    report = _Worker(tmp_path, monkeypatch).run(_rewritten(order, path, content[:at] + element + content[at:]))
    assert report.state is RunState.NOT_PROCESSED
    assert f"is ambiguous: there twice or out of order are {says}" in report.reason
    assert report.objects == ()


@pytest.mark.catalogue("D17")
def test_no_model_runs_where_a_sequence_hides_the_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = _order(tmp_path / "in")
    for instance in order.instances:
        path = Path(instance.path)
        content = path.read_bytes()
        at = content.index(b"\xe0\x7f\x10\x00OW")
        item = b"\xfe\xff\x00\xe0" + (len(content) - at).to_bytes(4, "little") + content[at:]
        hidden = b"\x40\0\x60\2SQ\0\0" + len(item).to_bytes(4, "little") + item
        order = _rewritten(order, path, content[:at] + hidden)
    worker = _Worker(tmp_path, monkeypatch)
    report = worker.run(order)
    assert report.state in (RunState.NOT_PROCESSED, RunState.FAILED)
    assert "pixel" in report.reason.lower()
    assert "infer" not in worker.stages
    assert report.objects == ()


@pytest.mark.catalogue("X7")
def test_when_memory_runs_out_all_that_is_warm_is_dropped_and_it_is_tried_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_only = "if not os.environ.pop('SAMPLE_ENOUGH', ''): os.environ['SAMPLE_ENOUGH'] = '1'; raise MemoryError"
    worker = _Worker(tmp_path, monkeypatch, first_only)
    before = worker.warm.pipeline("sample")
    assert worker.run(_order(tmp_path / "in")).state is RunState.FINDINGS
    assert worker.warm.pipeline("sample") is not before
    assert worker.stages.count("infer") == 2


@pytest.mark.catalogue("U5")
def test_an_input_that_is_not_the_received_bytes_fails_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = _order(tmp_path / "in")
    with Path(order.instances[2].path).open("ab") as file:
        file.write(b"\0")
    report = _Worker(tmp_path, monkeypatch).run(order)
    assert report.state is RunState.FAILED
    assert order.instances[2].sop_instance_uid in report.reason


@pytest.mark.catalogue("R18")
@pytest.mark.parametrize("damage", ["missing", "no DICOM"])
def test_an_input_that_cannot_be_read_is_named_and_nothing_is_said_about_the_rest(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = _order(tmp_path / "in")
    broken = order.instances[2]
    if damage == "missing":
        Path(broken.path).unlink()
    else:
        Path(broken.path).write_bytes(damage.encode())
        broken = replace(broken, digest=hashlib.sha256(damage.encode()).hexdigest())
    instances = (*order.instances[:2], broken, *order.instances[3:])
    report = _Worker(tmp_path, monkeypatch).run(replace(order, instances=instances))
    assert report.state is RunState.NOT_PROCESSED
    assert broken.sop_instance_uid in report.reason


def test_a_pipeline_that_is_not_installed_fails_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = _Worker(tmp_path, monkeypatch).run(_order(tmp_path / "in", pipeline="gone"))
    assert report.state is RunState.FAILED
    assert "gone is not installed" in report.reason


@pytest.mark.catalogue("R11")
def test_what_the_gate_refuses_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker, order = _Worker(tmp_path, monkeypatch), _order(tmp_path / "in")
    monkeypatch.setattr(
        identity.Provenance, "uid", lambda self, form, part: f"1.2.{id(object()) % 9999}.{len(part)}"
    )
    report = worker.run(order)
    assert report.state is RunState.FAILED
    assert "the gate refused" in report.reason
    assert _files(order) == []


def test_one_form_alone_can_be_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = _Worker(tmp_path, monkeypatch).run(_order(tmp_path / "in", forms=("TID1500",)))
    assert [produced.form for produced in report.objects] == ["TID1500"]


def test_images_that_were_left_out_are_said_in_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = _order(tmp_path / "in")
    localiser = samples.stack()[0]
    localiser.SOPInstanceUID = f"{samples.SERIES}.99"
    localiser.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    content = (
        samples.encoded(localiser) + b"\xe0\x7f\x10\x00OW\0\0" + (1536).to_bytes(4, "little") + b"\0" * 1536
    )
    path = tmp_path / "localiser.dcm"
    path.write_bytes(content)
    added = InputInstance(
        sop_instance_uid=f"{samples.SERIES}.99",
        series_instance_uid=samples.SERIES,
        digest=hashlib.sha256(content).hexdigest(),
        path=str(path),
    )
    report = _Worker(tmp_path, monkeypatch).run(replace(order, instances=(*order.instances, added)))
    assert report.state is RunState.FINDINGS
    assert list(report.excluded) == [f"{samples.SERIES}.99"]
    assert any(remark.startswith("1 received images were not read") for remark in report.remarks)


def _serve(site: Path, orders: list[WorkOrder], status: int = 0) -> tuple[list[dict[str, Any]], str]:
    done = subprocess.run(
        [sys.executable, "-m", "radnode.pipelines.runner"],
        text=True,
        capture_output=True,
        check=False,
        timeout=120,
        input="".join(order.to_json() + "\n" for order in orders),
        env={**os.environ, "PYTHONPATH": str(site)},
    )
    assert done.returncode == status, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_a_worker_speaks_its_lines_whatever_a_library_prints(tmp_path: Path) -> None:
    noise = "print('from python'); os.write(1, b'from C\\n'); sys.stdin.read()"
    site = sample_pipelines.install(tmp_path / "site", extra=noise)
    orders = [_order(tmp_path / "first", job_key="first"), _order(tmp_path / "second", job_key="second")]
    messages, said = _serve(site, orders)
    reports = [RunReport.from_json(json.dumps(each["report"])) for each in messages if "report" in each]
    assert [(report.job_key, report.state) for report in reports] == [
        ("first", RunState.FINDINGS),
        ("second", RunState.FINDINGS),
    ]
    assert [each["stage"] for each in messages if "stage" in each][:3] == STEPS[:3]
    assert "from python" in said
    assert "from C" in said


@pytest.mark.catalogue("X8")
@pytest.mark.parametrize("error", ["RuntimeError('CUDA error: unspecified launch failure')",
                                   "type('AcceleratorError', (RuntimeError,), {})('CUDA error: an illegal access')"])
def test_a_worker_whose_device_is_lost_ends_at_once_and_answers_nothing(tmp_path: Path, error: str) -> None:
    site = sample_pipelines.install(tmp_path / "site", extra=f"raise {error}")
    order = _order(tmp_path / "in")
    messages, said = _serve(site, [order, order], status=DEVICE_LOST)
    assert not any("report" in each for each in messages)
    assert "Error" in said


def test_a_radiologist_is_told_that_a_study_was_not_processed_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = _Worker(tmp_path, monkeypatch, "raise NotProcessed('these images show no chest')")
    report = worker.run(_order(tmp_path / "in", forms=plan(("SEG", "TID1500", "NOT-PROCESSED"))))
    assert (report.state, report.reason) == (RunState.NOT_PROCESSED, "these images show no chest")
    (produced,) = report.objects
    said = pydicom.dcmread(produced.path)
    texts = [str(item.TextValue) for item in said.ContentSequence if item.ValueType == "TEXT"]
    assert "These images were NOT analysed by Sample of a pipeline (sample 1.2.3)." in texts
    assert "This study is outside what it reads: these images show no chest." in texts
    assert said.PatientID == "PAT-1"


def test_a_failed_run_is_told_apart_from_a_refused_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = _Worker(tmp_path, monkeypatch, "raise RuntimeError('MÜLLER^ÄNNE')")
    report = worker.run(_order(tmp_path / "in", forms=plan(("TID1500", "NOT-PROCESSED"))))
    assert report.state is RunState.FAILED
    content = pydicom.dcmread(report.objects[0].path).ContentSequence
    said = " ".join(str(item.TextValue) for item in content if item.ValueType == "TEXT")
    assert "The analysis failed: RuntimeError in the step infer" in said
    assert "MÜLLER^ÄNNE" not in said


def test_nobody_is_told_of_images_that_do_not_belong_to_one_patient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = _order(tmp_path / "in", forms=plan(("NOT-PROCESSED",)))
    path = Path(order.instances[0].path)
    other = pydicom.dcmread(path)
    other.PatientID = "PAT-2"
    other.save_as(path)
    changed = replace(order.instances[0], digest=hashlib.sha256(path.read_bytes()).hexdigest())
    report = _Worker(tmp_path, monkeypatch).run(replace(order, instances=(changed, *order.instances[1:])))
    assert report.state is RunState.FAILED
    assert "disagree on PatientID" in report.reason
    assert "the radiologist was not told" in report.reason
    assert report.objects == ()


def test_findings_are_written_again_without_running_the_pipeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = _Worker(tmp_path, monkeypatch)
    first = worker.run(_order(tmp_path / "in", forms=plan(("LABELMAP", "TID1500"))))
    worker.said.clear()
    again = worker.run(_order(tmp_path / "in", forms=plan(("SEG", "TID1500")), findings=first.findings,
                              output_folder=str(tmp_path / "again")))
    assert again.reason == ""
    assert worker.stages == ["select", "decode", "recall", "write", "gate", "keep"]
    assert [produced.name for produced in again.objects] == ["SEG", "TID1500+SEG"]
    assert again.measurements == first.measurements
