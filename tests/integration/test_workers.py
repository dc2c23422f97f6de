"""A worker process dies alone: of its limits, of a signal, with its node."""

from __future__ import annotations

import os
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.chest import write_chest
from support.orders import Workers, order_over
from support.processes import alive
from support.waiting import eventually

from radnode.node.execution.base import WorkerLost
from radnode.pipelines.contract import RunState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from radnode.node.execution.worker_process import WorkerProcess
    from radnode.pipelines.contract import RunReport, WorkOrder

@pytest.fixture
def worker() -> Iterator[Workers]:
    with Workers() as made:
        yield made


@pytest.fixture
def order(tmp_path: Path) -> WorkOrder:
    return order_over(write_chest(tmp_path / "ct", slices=24).files, tmp_path / "out")


def _pid(worker: WorkerProcess) -> int:
    process = worker._process
    assert process is not None
    return process.pid


def test_a_warm_worker_serves_one_order_after_the_other(
    worker: Workers, order: WorkOrder
) -> None:
    one = worker()
    one.prepare(["ct-lung"])
    pid = _pid(one)
    stages: list[str] = []

    reports = [one.execute(order, stages.append) for _ in range(2)]

    assert [report.state for report in reports] == [RunState.FINDINGS] * 2
    assert {"select", "decode", "infer", "write", "gate"} <= set(stages)
    assert _pid(one) == pid


def test_where_no_pipeline_is_wanted_the_first_order_starts_the_process(worker: Workers, order: WorkOrder) -> None:
    one = worker()
    one.prepare([])
    assert one.pid is None
    assert one.execute(order, lambda _stage: None).state is RunState.FINDINGS
    assert one.pid is not None


@pytest.mark.catalogue("X8")
def test_a_worker_over_its_time_is_ended_and_replaced(worker: Workers, order: WorkOrder) -> None:
    hasty = worker(seconds=0.01)

    with pytest.raises(WorkerLost, match="time limit"):
        hasty.execute(order, lambda _stage: None)


@pytest.mark.catalogue("X7")
def test_a_worker_over_its_memory_is_ended(worker: Workers, order: WorkOrder) -> None:
    small = worker(memory=20_000_000)

    with pytest.raises(WorkerLost, match="memory limit"):
        small.execute(order, lambda _stage: None)


@pytest.mark.catalogue("X7")
def test_a_killed_worker_loses_its_order_and_the_next_one_runs(
    worker: Workers, order: WorkOrder
) -> None:
    one = worker()
    one.prepare(["ct-lung"])
    victim = _pid(one)
    threading.Timer(0.2, lambda: os.kill(victim, signal.SIGKILL)).start()

    with pytest.raises(WorkerLost, match="signal 9"):
        one.execute(order, lambda _stage: None)
    assert one.execute(order, lambda _stage: None).state == RunState.FINDINGS


@pytest.mark.catalogue("X7")
def test_what_comes_next_is_read_while_a_job_runs_and_a_reader_that_dies_harms_no_job(
    worker: Workers, order: WorkOrder
) -> None:
    one, following = worker(), replace(order, job_key="1" * 64)
    stages: list[str] = []
    one.prepare(["ct-lung"])

    def until_hinted(job: WorkOrder, hint: WorkOrder) -> RunReport:
        """The job takes a while, so that what follows is asked for while it runs."""
        report = one.execute(job, stages.append, lambda: hint)
        eventually(lambda: _children(one), within=20, why=lambda: "a reader was started")
        stages.clear()
        return report

    assert until_hinted(order, following).state == RunState.FINDINGS
    assert one.execute(following, stages.append).state == RunState.FINDINGS
    assert stages[0] == "take over"
    assert until_hinted(order, following).state == RunState.FINDINGS
    for pid in _children(one):
        os.kill(pid, signal.SIGKILL)
    assert one.execute(following, stages.append).state == RunState.FINDINGS


def test_what_a_worker_has_started_ends_with_it_and_does_not_hold_it_up(
    worker: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nsleep 300 &\nexec sleep 300\n", encoding="ascii")  # both hold the pipe of the errors
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    one = worker()
    one.prepare(["ct-lung"])
    eventually(lambda: _children(one), within=20, why=lambda: "it started another process")
    started = _children(one)

    stopping = threading.Thread(target=one.stop, daemon=True)
    stopping.start()
    stopping.join(20)

    assert not stopping.is_alive()
    eventually(lambda: not any(alive(pid) for pid in started), within=20, why=lambda: "the other process ended")


def _children(worker: WorkerProcess) -> list[int]:
    children = Path(f"/proc/{_pid(worker)}/task")
    return [int(pid) for task in children.iterdir() for pid in (task / "children").read_text().split()]


def test_a_worker_ends_with_the_thread_that_keeps_it(worker: Workers, order: WorkOrder) -> None:
    one = worker()
    keeper = threading.Thread(target=one.execute, args=(order, lambda _stage: None))
    keeper.start()
    keeper.join()
    pid = _pid(one)

    eventually(lambda: not alive(pid), within=20, why=lambda: "the worker ended")
