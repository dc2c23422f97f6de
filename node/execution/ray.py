"""Workers on a Ray cluster: one actor for each configured worker, each with a worker process as on a single machine.

The node does not speak with Ray itself (:mod:`radnode.node.execution.ray_driver` says why). Leases, priorities and
fencing tokens stay where they are; Ray says on which machine and GPU a worker lives.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import queue
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import structlog

import radnode
from radnode.node import pipes
from radnode.node.execution.base import WorkerGone, WorkerLost, WorkerNow
from radnode.node.execution.worker_process import Foresight
from radnode.pipelines.contract import RunReport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from radnode.config.settings import RayCluster, Worker
    from radnode.node.alarms import Alarms
    from radnode.pipelines.contract import WorkOrder

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 0.2
SILENT_S = 60.0
"""The driver says something every second, unless Ray holds it up: then its machine, or the head, is gone."""
BEGIN_AGAIN_AFTER_S = 5.0
REPORTS_WITHIN_S = 60.0
"""Beyond the time limit of the worker, which ends a job itself."""
MISSING_S = 30.0
"""How long workers may be missing before it is an alarm: Ray needs some seconds to make an actor."""


class RayExecutor:
    """An :class:`~radnode.node.execution.base.Executor` whose slots are as many actors of a Ray cluster.

    A slot has no actor of its own: an order goes to one with its model warm. A slot takes no order while fewer actors
    than slots before it are there, so that no job is leased to wait.
    """

    def __init__(
        self, workers: Sequence[Worker], cluster: RayCluster, *, models: Path, data: Path, identity: str, alarms: Alarms
    ) -> None:
        self._workers = workers
        self._kinds = [workers.index(worker) for worker in workers]
        self._setup = {"address": cluster.address, "workers": [
            {
                "kind": kind, "cpus": cluster.cpus, "gpus": 0 if worker.device == "cpu" else cluster.gpus,
                "settings": {
                    "device": worker.device, "memory_limit_bytes": worker.memory_limit,
                    "time_limit_s": worker.time_limit_s, "models": str(models), "data": str(data),
                    "identity": identity, "version": radnode.__version__,
                },
            }
            for kind, worker in zip(self._kinds, workers, strict=True)
        ]}
        self._alarms = alarms
        self._lock = threading.Lock()
        self._driver: subprocess.Popen[str] | None = None
        self._orders: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._begin_at = -math.inf
        self._heard_at = 0.0
        self._whole_at = time.monotonic()
        self._warm: list[str] = []
        self._there: list[dict[str, Any]] = []
        self._numbers = itertools.count()
        self._running: dict[int, queue.SimpleQueue[dict[str, Any]]] = {}
        self._run_of_slot: dict[int, int] = {}
        self._closing = False

    def prepare(self, slot: int, pipelines: Sequence[str]) -> bool:
        """Start the driver if there is none and have every actor load these; whether the slot has an actor."""
        with self._lock:
            self._ensure_driver()
            if list(pipelines) != self._warm:
                self._warm = list(pipelines)
                self._say({"warm": self._warm})
            return self._there_of(slot) is not None

    def execute(
        self, slot: int, order: WorkOrder, on_stage: Callable[[str], None], upcoming: Callable[[], WorkOrder | None]
    ) -> RunReport:
        """Run the order on an actor. Raises WorkerLost, WorkerGone."""
        run, answers = next(self._numbers), queue.SimpleQueue[dict[str, Any]]()
        with self._lock:
            if not self._there:
                raise WorkerGone("the connection to Ray ended")  # after the slot was prepared: nobody hears the order
            self._running[run], self._run_of_slot[slot] = answers, run
            self._say({"run": run, "kind": self._kinds[slot], "order": asdict(order)})
        deadline = time.monotonic() + self._workers[slot].time_limit_s + REPORTS_WITHIN_S
        foresight = Foresight(upcoming)
        try:
            while True:
                message = self._answer(answers, deadline)
                if hint := foresight.ask():
                    self._say({"run": run, "next": asdict(hint)})
                if "stage" in message:
                    on_stage(str(message["stage"]))
                elif "report" in message:
                    return RunReport.from_json(json.dumps(message["report"]))
                elif "lost" in message:
                    raise WorkerLost(message["lost"])
                elif "gone" in message:
                    raise WorkerGone(message["gone"])
        finally:
            with self._lock:
                del self._running[run]
                self._run_of_slot.pop(slot, None)

    def cancel(self, slot: int, reason: str) -> None:
        """End what the slot runs, without waiting for Ray."""
        with self._lock:
            run = self._run_of_slot.get(slot)
            if run is not None:
                self._running[run].put({"lost": reason})
                self._say({"run": run, "cancel": reason})

    def workers(self) -> list[WorkerNow]:
        """Each slot, with an actor if there is one for it."""
        with self._lock:
            found = []
            for slot, worker in enumerate(self._workers):
                there = self._there_of(slot) or {}
                found.append(WorkerNow(
                    device=worker.device, pid=there.get("pid"), resident=there.get("resident", 0),
                    limit=worker.memory_limit, host=there.get("host", ""),
                ))
            return found

    def close(self) -> None:
        """End the driver, and with it every actor."""
        with self._lock:
            self._closing = True
            driver, self._driver = self._driver, None
        if driver is None:
            return
        self._orders.put(None)
        try:
            driver.wait(BEGIN_AGAIN_AFTER_S)
        except subprocess.TimeoutExpired:
            driver.kill()
            driver.wait()

    def _there_of(self, slot: int) -> Mapping[str, Any] | None:
        """The actor that stands for a slot: of its kind, and as many before it as slots."""
        before = self._kinds[:slot].count(self._kinds[slot])
        there = [each for each in self._there if each["kind"] == self._kinds[slot]]
        return there[before] if before < len(there) else None

    def _ensure_driver(self) -> None:
        now = time.monotonic()
        if self._driver is not None and self._driver.poll() is None:
            if now > self._heard_at + SILENT_S:
                log.error("ray.silent")
                self._driver.kill()
            return
        if self._closing or now < self._begin_at:
            return
        self._begin_at, self._heard_at = now + BEGIN_AGAIN_AFTER_S, now
        self._orders.put(None)
        self._orders = queue.SimpleQueue()
        self._driver = driver = subprocess.Popen(
            [sys.executable, "-m", "radnode.node.execution.ray_driver"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, encoding="utf-8", errors="replace", start_new_session=True,
            # Who reaches a cluster without tokens runs what he likes on it; somebody may say that he wants that.
            env={"RAY_AUTH_MODE": "token", **os.environ},
        )
        for target, args in (
            (self._hear, (driver,)), (pipes.feed, (driver.stdin, self._orders)),
            (pipes.relay, (driver.stderr, "ray.said", driver.pid)),
        ):
            threading.Thread(target=target, args=args, daemon=True).start()
        self._say(self._setup)
        self._say({"warm": self._warm})

    def _say(self, message: Mapping[str, Any]) -> None:
        """To the driver, whenever it listens."""
        self._orders.put(json.dumps(message))

    def _hear(self, driver: subprocess.Popen[str]) -> None:
        """Every line of one driver, to whom it concerns, until it ends."""
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=pipes.pump, args=(driver.stdout, lines), daemon=True).start()
        while (line := lines.get()) is not None:
            message = json.loads(line)
            with self._lock:
                self._heard_at = time.monotonic()
                if "workers" in message:
                    self._there = [each for each in message["workers"] if "pid" in each]
                    self._judge(message["trouble"])
                elif message["run"] in self._running:
                    self._running[message["run"]].put(message)
        with self._lock:
            self._there = []
            self._judge("the connection to Ray ended")
            for answers in self._running.values():
                answers.put({"gone": "the connection to Ray ended"})
        log.warning("ray.driver_ended", status=driver.wait())

    def _judge(self, trouble: str) -> None:
        now = time.monotonic()
        if len(self._there) == len(self._workers) or self._closing:
            self._whole_at = now
            self._alarms.clear("ray")
        elif now > self._whole_at + MISSING_S:
            self._alarms.set("ray", f"{len(self._there)} of {len(self._workers)} workers are there: "
                                    f"{trouble or 'Ray has no machine free that they fit on'}")

    def _answer(self, answers: queue.SimpleQueue[dict[str, Any]], deadline: float) -> dict[str, Any]:
        try:
            return answers.get(timeout=LOOK_EVERY_S)
        except queue.Empty:
            if self._closing:
                raise WorkerGone("the node is stopping") from None
            if time.monotonic() > deadline:
                raise WorkerGone("Ray gave no report within the time limit") from None
            with self._lock:
                self._ensure_driver()
            return {}
