"""A device that hangs costs a job its try, and nobody else anything: the watchdog ends the worker or lets go of it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select
from support.rows import NOW, job_over

from radnode.config.loading import parse
from radnode.config.settings import Worker
from radnode.node.alarming.watch import AlarmWatch
from radnode.node.alarms import Alarms
from radnode.node.execution import worker_process
from radnode.node.execution.dispatcher import Dispatcher, Slot
from radnode.node.execution.local import LocalExecutor
from radnode.node.observability import Metrics
from radnode.pipelines import registry
from radnode.storage import alarms
from radnode.storage.database import Database
from radnode.storage.files import FileStore
from radnode.storage.tables import JobRow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Popen = subprocess.Popen
LIMIT_S = 0.3


class Hanging(Popen[str]):
    """A worker that answers nothing. Its `deaf` kind is not ended by SIGKILL either, as one in a driver is not."""

    deaf = False
    started: list[Hanging]

    def __init__(self, _command: list[str], **options: Any) -> None:
        super().__init__([sys.executable, "-c", "import time; time.sleep(600)"], **options)
        type(self).started.append(self)

    @classmethod
    def killpg(cls, group: int, number: int) -> None:
        """As os.killpg."""
        if not cls.deaf:
            os.kill(group, number)


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hanging]]:
    monkeypatch.setattr(Hanging, "started", [], raising=False)
    monkeypatch.setattr(worker_process.subprocess, "Popen", Hanging)
    monkeypatch.setattr(worker_process.os, "killpg", Hanging.killpg)
    monkeypatch.setattr(worker_process, "ENDS_WITHIN_S", 0.5)
    yield Hanging
    for process in Hanging.started:
        Popen.kill(process)
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.mark.parametrize("deaf", [False, True], ids=["its process can be ended", "it cannot be ended"])
def test_X8_a_device_that_hangs_gives_the_job_to_another_worker_and_then_to_an_administrator(
    hanging: type[Hanging], tmp_path: Path, deaf: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hanging, "deaf", deaf)
    database = Database(f"sqlite:///{tmp_path / 'radnode.db'}")
    database.upgrade()
    store = FileStore(tmp_path / "data", reserve_bytes=1)
    store.self_test()
    worker = Worker(device="cpu", memory_limit=8_000_000_000, time_limit_s=1).model_copy(
        update={"time_limit_s": LIMIT_S}
    )
    dispatcher = Dispatcher(
        database=database, store=store, executor=LocalExecutor([worker]), peers=dict,
        manifests=lambda: registry.installed().manifests, wanted=list, work_folder=tmp_path / "work",
        content_qualification="RESEARCH", report_language="en", node_version="0", now=lambda: NOW, metrics=Metrics(),
        on_produced=lambda: None, worker_prefix="test",
    )
    watch = AlarmWatch(
        database=database, store=store, configuration=lambda: parse("", "radnode.yaml"),
        reported=Alarms(lambda: NOW), refused=dict, now=lambda: NOW, metrics=Metrics(), on_change=lambda: None,
    )
    job_over(database, 1)
    states = []
    for _ in range(2):
        assert dispatcher.run_next(Slot(number=0, device="cpu"))
        with database.read() as session:
            job = session.scalars(select(JobRow)).one()
        states.append((job.state, job.crashes))
    assert states == [("WAITING", 1), ("FAILED", 2)]
    assert "within the time limit" in job.reason
    assert ("its device hangs" in job.reason) == deaf
    assert len(hanging.started) == 2
    watch.step()
    with database.read() as session:
        assert "jobs:ct-lung" in {each.name for each in alarms.standing(session)}
    monkeypatch.setattr(hanging, "deaf", False)
    dispatcher.stop()
    database.close()
