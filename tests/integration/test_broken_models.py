"""A broken model harms only itself: one clear answer, and the next job runs."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pydicom
import pytest
from support import sample_pipelines
from support.chest import write_chest

from radnode.node.execution.base import WorkerLost
from radnode.node.execution.worker_process import WorkerProcess
from radnode.pipelines.contract import InputInstance, RunState, WorkOrder
from radnode.pipelines.forms import plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

GENEROUS_BYTES, FEW_BYTES = 8_000_000_000, 1_500_000_000

ANSWERED = {
    "prints": ("print('{\"report\": {}}', flush=True); os.write(1, b'{\"stage\": 1}\\n')", RunState.FINDINGS, ""),
    "quits": ("sys.exit(3)", RunState.FAILED, "SystemExit in the step infer"),
    "dials": ("import socket; socket.create_connection(('127.0.0.1', 9))", RunState.FAILED, "PermissionError"),
    "asks": ("import socket; socket.getaddrinfo('example.org', 80)", RunState.FAILED, "gaierror"),
    "fills": ("import tempfile; tempfile.TemporaryFile().truncate(1 << 50)", RunState.FAILED, "OSError"),
}
LOST = {
    "ends": ("os._exit(0)", "ended with exit code 0"),
    "crashes": ("import ctypes; ctypes.string_at(0)", "ended with signal 11"),
    "eats": ("held = []\nwhile True: held.append(b'x' * 10_000_000)", "more than the memory limit of 1.5 GB"),
    "loops": ("while True: pass", "no result within the time limit of 5 s"),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each broken pipeline and a sound one, as packages."""
    folder = tmp_path_factory.mktemp("site")
    for name, (code, *_) in {**ANSWERED, **LOST, "sound": ("",)}.items():
        sample_pipelines.install(folder, name=name, package=f"{name}_pipeline", extra=code)
    sample_pipelines.install(folder, name="unloadable", package="unloadable_pipeline")
    (folder / "unloadable_pipeline" / "code.py").write_text("import sys\nsys.exit(7)\n")
    return folder


@pytest.fixture
def worker(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., WorkerProcess]]:
    monkeypatch.setenv("PYTHONPATH", str(site))
    made: list[WorkerProcess] = []

    def make(*, memory: int = GENEROUS_BYTES, seconds: float = 300) -> WorkerProcess:
        made.append(WorkerProcess(device="cpu", memory_limit_bytes=memory, time_limit_s=seconds))
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[InputInstance, ...]:
    files = write_chest(tmp_path_factory.mktemp("ct"), slices=6, size=16).files
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in files]
    return tuple(
        InputInstance(sop_instance_uid=header.SOPInstanceUID, series_instance_uid=header.SeriesInstanceUID,
                      digest=hashlib.sha256(path.read_bytes()).hexdigest(), path=str(path))
        for path, header in zip(files, headers, strict=True)
    )


def order(pipeline: str, images: tuple[InputInstance, ...], folder: Path) -> WorkOrder:
    folder.mkdir(exist_ok=True)
    return WorkOrder(
        job_key=pipeline, pipeline=pipeline, revision=1, instances=images, input_digest="0" * 64,
        configuration_digest="0" * 64, forms=plan(("SEG",)), content_qualification="RESEARCH",
        output_folder=str(folder), device="cpu", node_version="0",
    )


def test_what_a_broken_pipeline_does_is_said_and_the_same_worker_goes_on(
    worker: Callable[..., WorkerProcess], images: tuple[InputInstance, ...], tmp_path: Path
) -> None:
    one = worker()
    answers = {name: one.execute(order(name, images, tmp_path / name), lambda _: None) for name in ANSWERED}
    process = one._process
    after = one.execute(order("sound", images, tmp_path / "sound"), lambda _: None)

    for name, (_, state, reason) in ANSWERED.items():
        assert (answers[name].job_key, answers[name].state) == (name, state)
        assert reason in answers[name].reason
    assert after.state is RunState.FINDINGS
    assert one._process is process


def test_a_pipeline_that_takes_its_worker_with_it_loses_only_its_own_job(
    worker: Callable[..., WorkerProcess], images: tuple[InputInstance, ...], tmp_path: Path
) -> None:
    one = worker()
    for name, (_, said) in LOST.items():
        limited = {"eats": {"memory": FEW_BYTES}, "loops": {"seconds": 5}}.get(name)
        with pytest.raises(WorkerLost) as lost:
            (worker(**limited) if limited else one).execute(order(name, images, tmp_path / name), lambda _: None)
        assert said in str(lost.value)
    assert one.execute(order("sound", images, tmp_path / "sound"), lambda _: None).state is RunState.FINDINGS


def test_a_pipeline_that_cannot_even_be_loaded_does_not_end_the_worker_that_prepares_it(
    worker: Callable[..., WorkerProcess], images: tuple[InputInstance, ...], tmp_path: Path
) -> None:
    one = worker()
    one.prepare(["unloadable", "sound"])
    assert one.execute(order("sound", images, tmp_path / "out"), lambda _: None).state is RunState.FINDINGS
