"""What Ray adds to a job, and what more workers do: the same orders here and on a Ray cluster of one machine.

    RADNODE_TEST_RESULTS=docs/measured python tests/bench/ray_overhead.py

First a pipeline that computes next to nothing over eight small slices: one process of this machine and one actor, both
warm, take turns, order by order. What is around a job is the time of its order without that of its stages in the
worker; the difference of the medians is what Ray adds, that of the fastest tenths what it adds to an idle machine.
Then one, two and three actors take from a row of orders: of a pipeline that waits for 1 s, as one does whose device
computes, and of one that computes on a core. Writes ray_overhead.json; fails if Ray adds more than 150 ms.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import queue
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from support import sample_pipelines  # noqa: E402
from support.chest import write_chest  # noqa: E402
from support.figures import write_down  # noqa: E402
from support.network import enter_private_network  # noqa: E402
from support.orders import order_over  # noqa: E402
from support.ray_head import Head  # noqa: E402
from support.steady import percentile  # noqa: E402
from support.waiting import eventually  # noqa: E402

from radnode.config.settings import RayCluster, Worker  # noqa: E402
from radnode.node.alarms import Alarms  # noqa: E402
from radnode.node.execution.local import LocalExecutor  # noqa: E402
from radnode.node.execution.ray import RayExecutor  # noqa: E402
from radnode.node.starting import IDENTITY  # noqa: E402
from radnode.pipelines.contract import RunState  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from radnode.node.execution.base import Executor
    from radnode.pipelines.contract import WorkOrder

GOAL_S = 0.150
ACTORS = 3
WORKER = Worker(device="cpu", memory_limit=10**9, time_limit_s=300)
PIPELINES = {
    "quick": "",
    "waits": "import time\ntime.sleep(1)",
    "computes": "for _ in range(10):\n    sum(range(1_500_000))",
}


@dataclass(frozen=True)
class Desk:
    """Gives orders over the same images, each with a folder and a key of its own."""

    order: WorkOrder
    numbers: Iterator[int]

    def run(self, executor: Executor, slot: int, pipeline: str) -> float:
        """Seconds that one order took beside its stages."""
        number = next(self.numbers)
        folder = Path(self.order.output_folder) / str(number)
        folder.mkdir()
        order = replace(self.order, output_folder=str(folder), pipeline=pipeline, job_key=f"{number:064d}")
        began = time.monotonic()
        report = executor.execute(slot, order, lambda _stage: None, lambda: None)
        assert report.state is RunState.FINDINGS, report.reason
        return time.monotonic() - began - sum(report.seconds.values())

    def jobs_a_minute(self, executor: Executor, workers: int, pipeline: str, orders: int) -> float:
        """Of so many slots that take from one row of orders; the loading of the pipeline is over."""
        for slot in range(workers):
            self.run(executor, slot, pipeline)
        row: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(orders):
            row.put(number)

        def work(slot: int) -> None:
            while True:
                try:
                    row.get_nowait()
                except queue.Empty:
                    return
                self.run(executor, slot, pipeline)

        threads = [threading.Thread(target=work, args=(slot,)) for slot in range(workers)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return orders / (time.monotonic() - began) * 60


@contextmanager
def on_ray(folder: Path, environment: dict[str, str]) -> Iterator[RayExecutor]:
    """Three actors that are there, on a cluster of one machine."""
    with Head(environment, cpus=ACTORS) as head:
        os.environ.update(head.shown)
        executor = RayExecutor(
            [WORKER] * ACTORS, RayCluster(address=head.address), models=folder / "models", data=folder,
            identity="bench", alarms=Alarms(lambda: datetime.now(UTC)),
        )  # fmt: skip
        try:
            eventually(lambda: executor.prepare(ACTORS - 1, list(PIPELINES)), within=300,
                       why=lambda: str(executor.workers()))
            yield executor
        finally:
            executor.close()


def measured(folder: Path, orders: int) -> dict[str, Any]:
    """The figures, said as they come."""
    packages = [
        sample_pipelines.install(folder / name, name=name, package=f"{name}_pipeline", extra=extra)
        for name, extra in PIPELINES.items()
    ]
    environment = {"PYTHONPATH": ":".join(map(str, packages))}
    os.environ.update(environment)
    (folder / IDENTITY).write_text("bench", encoding="ascii")
    images = write_chest(folder / "ct", slices=8, size=32).files
    desk = Desk(order_over(images, folder / "out", pipeline="quick"), itertools.count())
    here = LocalExecutor([WORKER])
    try:
        with on_ray(folder, environment) as there:
            for _ in range(ACTORS):
                desk.run(here, 0, "quick")
                desk.run(there, 0, "quick")
            at_home, abroad = zip(
                *((desk.run(here, 0, "quick"), desk.run(there, 0, "quick")) for _ in range(orders)), strict=True
            )
            figures = {
                "orders": orders, "cores": os.cpu_count(), "here_ms": _said(at_home), "on_ray_ms": _said(abroad),
                "added_ms": round((median(abroad) - median(at_home)) * 1e3, 1),
                "added_at_best_ms": round((percentile(abroad, 0.1) - percentile(at_home, 0.1)) * 1e3, 1),
                "load": round(os.getloadavg()[0], 1),
            }  # fmt: skip
            print(json.dumps(figures), flush=True)
            curves: dict[str, dict[str, float]] = {"waits": {}, "computes": {}}
            for pipeline, curve in curves.items():
                for workers in range(1, ACTORS + 1):
                    curve[str(workers)] = round(desk.jobs_a_minute(there, workers, pipeline, 6 * workers), 1)
                print(json.dumps({pipeline: curve}), flush=True)
    finally:
        here.close()
    return {**figures, "jobs_a_minute": curves}


def _said(times: tuple[float, ...]) -> dict[str, float]:
    return {
        "median": round(median(times) * 1e3, 1), "p10": round(percentile(times, 0.1) * 1e3, 1),
        "p95": round(percentile(times, 0.95) * 1e3, 1),
    }  # fmt: skip


def main() -> None:
    """Measure, write down, print; fail above the goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=60, help="of each of the two, one after the other")
    asked = parser.parse_args()
    enter_private_network()
    with tempfile.TemporaryDirectory(prefix="radnode-ray-", dir="/var/tmp") as name:
        figures = measured(Path(name), asked.orders)
    write_down("ray_overhead", **figures)
    if figures["added_ms"] > GOAL_S * 1e3:
        raise SystemExit(f"Ray adds {figures['added_ms']} ms to a job; the goal is {GOAL_S * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
