"""Workers on a real Ray cluster: the same results as here, and whatever is lost of it costs only time."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING

import pydicom
import pytest
from support.chest import write_chest
from support.job_site import SLICES, Site, obedience
from support.orders import order_over
from support.processes import alive
from support.ray_head import Head
from support.waiting import eventually

from radnode.config.settings import RayCluster, Worker
from radnode.node.alarms import Alarms
from radnode.node.execution.base import WorkerGone, WorkerLost
from radnode.node.execution.local import LocalExecutor
from radnode.node.execution.ray import RayExecutor
from radnode.node.starting import IDENTITY
from radnode.pipelines.contract import RunState

if TYPE_CHECKING:
    from pathlib import Path

    from support.pacs import StandInPacs

    from radnode.node.execution.base import Executor
    from radnode.pipelines.contract import RunReport, WorkOrder

pytestmark = [pytest.mark.peer, pytest.mark.slow]

WORKER = Worker(device="cpu", memory_limit=2 * 10**9, time_limit_s=120)
PIPELINE = ["sample"]


def _run(executor: Executor, order: WorkOrder) -> RunReport:
    return executor.execute(0, order, lambda _stage: None, lambda: None)


def _made(report: RunReport) -> dict[str, bytes]:
    """Result objects as encoded, without the times at which they were made."""

    def timeless(dataset: pydicom.Dataset, element: pydicom.DataElement) -> None:
        if element.VR in ("DA", "TM", "DT"):
            element.value = None

    found = {}
    for each in report.objects:
        dataset = pydicom.dcmread(each.path)
        dataset.walk(timeless)
        encoded = BytesIO()
        dataset.save_as(encoded)
        found[each.name] = encoded.getvalue()
    return found


def test_a_job_on_ray_gives_what_it_gives_here_and_no_more_are_taken_than_there_are_actors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = obedience(tmp_path)
    (tmp_path / IDENTITY).write_text("this node", encoding="ascii")
    images = write_chest(tmp_path / "ct", slices=SLICES, size=32).files
    orders = {name: order_over(images, tmp_path / name, pipeline="sample") for name in ("here", "there")}
    alarms = Alarms(lambda: datetime.now(UTC))
    here = LocalExecutor([WORKER])
    with Head(environment) as head:
        for name, value in {**environment, **head.shown}.items():
            monkeypatch.setenv(name, value)
        on_ray = RayExecutor(
            [WORKER] * 3, RayCluster(address=head.address), models=tmp_path / "models", data=tmp_path,
            identity="this node", alarms=alarms,
        )
        try:
            eventually(lambda: on_ray.prepare(1, PIPELINE), within=90, why=lambda: str(on_ray.workers()))
            assert on_ray.prepare(0, PIPELINE)
            assert not on_ray.prepare(2, PIPELINE), "two processors, two actors"
            made = _made(_run(here, orders["here"]))
            assert set(made) == {"SEG", "TID1500+SEG"}
            assert _made(_run(on_ray, orders["there"])) == made

            (tmp_path / "hold").touch()

            def lose_it(stage: str) -> None:
                for pid in head.processes("ray::RayWorker") if "boxes" in stage else ():
                    os.kill(pid, signal.SIGKILL)

            with pytest.raises(WorkerGone):
                on_ray.execute(0, orders["there"], lose_it, lambda: None)
            eventually(lambda: on_ray.prepare(0, PIPELINE), within=90, why=lambda: str(on_ray.workers()))

            with pytest.raises(WorkerLost, match="lease"):
                on_ray.execute(
                    0, orders["there"], lambda _stage: on_ray.cancel(0, "the lease on the job was lost"), lambda: None
                )
            (tmp_path / "hold").unlink()
            assert _run(on_ray, orders["there"]).state == RunState.FINDINGS
        finally:
            on_ray.close()
            here.close()


def test_a_job_that_loses_its_actor_and_then_its_node_is_answered_once(
    tmp_path: Path, pacs: StandInPacs
) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    with Head(obedience(tmp_path), cpus=1) as head:
        settings = {"ray": {"address": head.address}, "workers": [{"memory_limit": "1 GB"}]}
        site = Site(tmp_path, pacs, settings, **head.shown)
        with site.node:
            series = site.arrives("unlucky")

            def computing(attempt: int) -> int:
                """The process that computes it, as soon as the pipeline runs."""

                def look() -> list[int]:
                    job = site.job(series)
                    runs = job is not None and job.attempts == attempt and "boxes" in str(site.node.status()["running"])
                    return head.processes("radnode.pipelines.runner") if runs else []

                (pid, *_) = eventually(look, within=300, why=site.node.log)
                return pid

            first = computing(1)
            for pid in head.processes("ray::RayWorker"):
                os.kill(pid, signal.SIGKILL)
            second = computing(2)
            eventually(lambda: not alive(first), why="nobody goes on with it")
            site.node.kill()
            eventually(lambda: not alive(second), within=60, why=lambda: str(head.processes()))
            site.node.start()
            hold.unlink()
            job = site.assert_answered_once(series)
            assert (job.crashes, job.attempts, job.token) == (0, 3, 3)


def test_a_head_that_dies_under_a_job_and_comes_back_costs_only_time(tmp_path: Path, pacs: StandInPacs) -> None:
    """The node goes on receiving, says what is missing, and goes on by itself when the head is back."""
    hold = tmp_path / "hold"
    hold.touch()
    with Head(obedience(tmp_path), cpus=1) as head:
        settings = {"ray": {"address": head.address}, "workers": [{"memory_limit": "1 GB"}]}
        site = Site(tmp_path, pacs, settings, **head.shown)

        def missing() -> bool:
            """As whoever asks about the node's health is told."""
            health = site.node.get("/health")
            assert health["healthy"], "it receives"
            return "ray" in {alarm["name"] for alarm in health["alarms"]}

        with site.node:
            series = site.arrives("bereft")
            eventually(lambda: "boxes" in str(site.node.status()["running"]), within=300, why=site.node.log)
            head.kill()
            lost = site.must_job(series, "WAITING")
            assert (lost.crashes, lost.attempts) == (0, 1)
            later = site.arrives("meanwhile")
            eventually(missing, within=120, why=site.node.log)
            assert site.must_job(later, "WAITING").attempts == 0, "nothing is leased without a worker"
            hold.unlink()
            head.start()
            eventually(lambda: not missing(), within=180, why=site.node.log)
            job = site.assert_answered_once(series)
            assert (job.crashes, job.attempts, job.token) == (0, 2, 2)
            assert site.assert_answered_once(later).attempts == 1
