"""A broken model harms only itself: one clear answer, and the next job runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import sample_pipelines
from support.chest import write_chest
from support.orders import Workers, order_over

from radnode.node.execution.base import WorkerLost
from radnode.pipelines.contract import RunState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from radnode.pipelines.contract import WorkOrder

FEW_BYTES = 1_500_000_000

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
def worker(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    monkeypatch.setenv("PYTHONPATH", str(site))
    with Workers() as made:
        yield made


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    return write_chest(tmp_path_factory.mktemp("ct"), slices=6, size=16).files


def order(pipeline: str, images: tuple[Path, ...], folder: Path) -> WorkOrder:
    return order_over(images, folder, pipeline=pipeline, key=pipeline, forms=("SEG",))


def test_what_a_broken_pipeline_does_is_said_and_the_same_worker_goes_on(
    worker: Workers, images: tuple[Path, ...], tmp_path: Path
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
    worker: Workers, images: tuple[Path, ...], tmp_path: Path
) -> None:
    one = worker()
    for name, (_, said) in LOST.items():
        limited = {"eats": {"memory": FEW_BYTES}, "loops": {"seconds": 5}}.get(name)
        with pytest.raises(WorkerLost) as lost:
            (worker(**limited) if limited else one).execute(order(name, images, tmp_path / name), lambda _: None)
        assert said in str(lost.value)
    assert one.execute(order("sound", images, tmp_path / "sound"), lambda _: None).state is RunState.FINDINGS


def test_a_pipeline_that_cannot_even_be_loaded_does_not_end_the_worker_that_prepares_it(
    worker: Workers, images: tuple[Path, ...], tmp_path: Path
) -> None:
    one = worker()
    one.prepare(["unloadable", "sound"])
    assert one.execute(order("sound", images, tmp_path / "out"), lambda _: None).state is RunState.FINDINGS
