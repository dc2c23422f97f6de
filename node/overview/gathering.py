"""One look at everything that the overview shows. What is dear is looked at less often than the rest."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from radnode.node.overview import judging, machine
from radnode.node.studies import searching
from radnode.storage import ledger, present, symptoms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from radnode.config.loading import Configuration
    from radnode.node.answers import Answers
    from radnode.node.delivery.outages import Outage
    from radnode.node.execution.base import WorkerNow
    from radnode.node.overview.history import History
    from radnode.node.studies.searching import Listed
    from radnode.storage.database import Database
    from radnode.storage.files import FileStore
    from radnode.storage.ledger import Balance

STUDIES = 12
SELDOM_S, GPUS_S = 20.0, 10.0
DEAR = 50.0
"""What took long, as the ledger does that counts every image, is not looked at again for so many times as long."""

WORST_FIRST = ("critical", "error", "warning")

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A worker and what it does. job: None when it waits for one."""

    number: int
    worker: WorkerNow
    job: present.RunningJob | None
    pipeline: str
    stage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What is so at this moment. ledger_at: when the ledger was counted. series: of the last day, for charts."""

    at: datetime
    alarms: Sequence[Mapping[str, Any]]
    studies: Sequence[Listed]
    queue: Sequence[present.Waiting]
    slots: Sequence[Slot]
    gpus: machine.Gpus
    destinations: Sequence[judging.DestinationNow]
    sources: Sequence[judging.SourceNow]
    ledger: Balance
    ledger_at: datetime
    space: judging.Space | None
    series: Mapping[str, Any]


class Gathering:
    """`look` is called by one thread at a time."""

    def __init__(
        self, *, database: Database, store: FileStore, answers: Answers, configuration: Callable[[], Configuration],
        running: Callable[[], Sequence[Mapping[str, Any]]], workers: Callable[[], Sequence[WorkerNow]],
        outages: Callable[[], Sequence[Outage]], now: Callable[[], datetime], history: History,
    ) -> None:
        self._database = database
        self._store = store
        self._answers = answers
        self._configuration = configuration
        self._running = running
        self._workers = workers
        self._outages = outages
        self._now = now
        self._history = history
        self._kept: dict[str, tuple[float, Any]] = {}

    def look(self) -> Overview:
        """Raises DatabaseUnavailable."""
        configuration, now = self._configuration(), self._now()
        names = [name for name, peer in configuration.peers.items() if peer.sends]
        names += sorted(configuration.retrieving.sources)
        receiving = [name for name, peer in configuration.peers.items() if peer.receives]
        receiving += list(configuration.messaging.destinations)
        alarms = sorted(self._answers.alarms(), key=lambda alarm: WORST_FIRST.index(alarm["severity"]))
        with self._database.read() as session:
            studies = searching.newest(session, STUDIES)
            queue = present.waiting_jobs(session, now)
            running = present.running_jobs(session)
            outgoing = present.outgoing(session)
            last = symptoms.heard(session, names)
        ledger_at, balance = self._seldom("ledger", 0.0, self._balance)
        return Overview(
            at=now, alarms=alarms, studies=studies, queue=queue,
            slots=self._slots({job.job_id: job for job in running}),
            gpus=self._seldom("gpus", GPUS_S, self._gpus),
            destinations=judging.destinations(receiving, self._outages(), outgoing, alarms),
            sources=judging.sources(names, last, alarms), ledger=balance, ledger_at=ledger_at,
            space=self._seldom("space", SELDOM_S, self._space),
            series=self._seldom("series", SELDOM_S, lambda: self._history.series(1)),
        )

    def _slots(self, jobs: Mapping[int, present.RunningJob]) -> list[Slot]:
        busy = {each["slot"]: each for each in self._running()}
        found = []
        for number, worker in enumerate(self._workers()):
            does = busy.get(number, {})
            found.append(Slot(number=number, worker=worker, job=jobs.get(does.get("job", 0)),
                              pipeline=does.get("pipeline", ""), stage=does.get("stage", "")))
        return found

    def _balance(self) -> tuple[datetime, Balance]:
        with self._database.read() as session:
            return self._now(), ledger.balance(session)

    def _gpus(self) -> machine.Gpus:
        return machine.gpus(wanted=any(each.device.startswith("cuda") and not each.host for each in self._workers()))

    def _space(self) -> judging.Space | None:
        try:
            usage = shutil.disk_usage(self._store.root)
        except OSError:
            return None  # the alarm `volume` says why
        return judging.space(
            free=usage.free, total=usage.total, reserve=self._store.reserve_bytes, a_day=self._history.bytes_a_day(),
            kept_days=self._configuration().settings.retention_days,
        )

    def _seldom(self, name: str, every_s: float, ask: Callable[[], Value]) -> Value:
        next_s, value = self._kept.get(name, (0.0, None))
        began_s = time.monotonic()
        if began_s >= next_s or value is None:
            value = ask()
            ended_s = time.monotonic()
            self._kept[name] = (ended_s + max(every_s, DEAR * (ended_s - began_s)), value)
        found: Value = value
        return found
