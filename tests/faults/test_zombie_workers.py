"""Workers that come back when somebody else has their job: SIGSTOP, the lease ends, SIGCONT.

Who writes is the node's dispatcher, so it is what is frozen here, in a process of its own; the process that computes
can only be killed. RADNODE_TEST_ZOMBIES sets how many trials there are.
"""

from __future__ import annotations

import json
import os
import queue
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Self

import pytest
from sqlalchemy import create_engine, func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool
from support.databases import databases_of
from support.figures import write_down
from support.orders import order_over
from support.processes import alive
from support.rows import NOW, job_over, must_lease, produce, result
from support.waiting import eventually

from radnode.node.execution.base import WorkerLost
from radnode.node.execution.worker_process import WorkerProcess
from radnode.storage import jobs
from radnode.storage.database import Database
from radnode.storage.tables import DeliveryRow, JobRow, ResultObjectRow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.databases import Databases

pytestmark = pytest.mark.alone("has databases of its own, PostgreSQL among them")

TRIALS = int(os.environ.get("RADNODE_TEST_ZOMBIES", "8"))
PROCESSES = 2
JOBS = 30
LATER = NOW + timedelta(hours=1)

ZOMBIE = """
import sys, time
from pathlib import Path
import structlog
from support.rows import NOW
from radnode.config.peers import Peer
from radnode.node.execution import dispatcher
from radnode.node.observability import Metrics
from radnode.pipelines import registry
from radnode.pipelines.contract import ProducedObject, RunReport, RunState
from radnode.storage.database import Database
from radnode.storage.files import FileStore

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
folder = Path(sys.argv[2])
database, store = Database(sys.argv[1]), FileStore(folder / "data", 1)

class Executor:
    def prepare(self, slot, pipelines): return True
    def cancel(self, slot, reason): pass
    def close(self): pass
    def execute(self, slot, order, on_stage, upcoming):
        print("running", flush=True)
        time.sleep(0.02)
        made = Path(order.output_folder) / "seg"
        made.write_bytes(order.job_key.encode())
        print("computed", flush=True)
        return RunReport(job_key=order.job_key, state=RunState.FINDINGS, objects=(ProducedObject(
            name="SEG", form="SEG", order=0, path=str(made), sop_class_uid="1.2",
            sop_instance_uid=f"1.9.{int(order.job_key)}", series_instance_uid="1.9", transfer_syntax_uid="1.2",
            references=()),))

peer = Peer(name="PACS", ae_title="PACS", host="127.0.0.1", port=104, receives=True, result_forms=("SEG",))
work = dispatcher.Dispatcher(
    database=database, store=store, executor=Executor(), peers=lambda: {"PACS": peer},
    manifests=lambda: registry.installed().manifests, wanted=list, work_folder=folder / "work",
    content_qualification="RESEARCH", report_language="en", node_version="0", now=lambda: NOW, metrics=Metrics(),
    on_produced=lambda: None, worker_prefix="zombie",
)
print("ready", flush=True)
for _ in sys.stdin:
    found = work.run_next(dispatcher.Slot(number=0, device="cpu"))
    print("ended" if found else "nothing", flush=True)
"""

RUN_ALL = """
import json, random, sys
from support.rows import NOW, lease, produce, result
from radnode.storage import jobs
from radnode.storage.database import Database
from radnode.storage.jobs import LeaseLost
database, chance = Database(sys.argv[1]), random.Random(int(sys.argv[2]))
print("ready", flush=True)
sys.stdin.readline()
ended, lost, idle = [], 0, 0
while idle < 20:
    job = lease(database, worker=sys.argv[2])
    if job is None:
        idle += 1
        continue
    idle = 0
    if chance.random() < 0.5:  # somebody believes that everybody is dead, and counts no crash
        with database.begin() as session:
            jobs.give_back(session, NOW, "nobody")
    try:
        produce(database, job, result(f"1.9.{job.job_id}"))
        ended.append(job.key)
    except LeaseLost:
        lost += 1
print(json.dumps([ended, lost]))
"""


class Zombie:
    """A dispatcher in a process of its own, one job for each order."""

    def __init__(self, url: str, folder: Path) -> None:
        self._process = _python(ZOMBIE, url, str(folder))
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._pumping = threading.Thread(target=self._pump, daemon=True)
        self._pumping.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()  # frozen or not
        self._process.wait()
        self._pumping.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def hears(self, line: str) -> None:
        """Wait for what it says next."""
        assert self._lines.get(timeout=60) == line

    def begin(self) -> None:
        """Let it take a job."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        self.hears("running")

    def signal(self, number: signal.Signals) -> None:
        """Freeze it, or wake it."""
        self._process.send_signal(number)

    def _pump(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.strip())


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.peer)])
def databases(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    with databases_of(request.param, tmp_path_factory.mktemp(request.param)) as found:
        yield found


@pytest.mark.slow
def test_K10_a_worker_that_wakes_after_its_lease_changes_nothing(databases: Databases, tmp_path: Path) -> None:
    chance = random.Random(int(os.environ.get("RADNODE_TEST_SEED", "20260301")))
    with databases.migrated() as url, _opened(url) as database:
        with Zombie(url, tmp_path) as zombie:
            zombie.hears("ready")
            stale = sum(_trial(database, zombie, number, chance.uniform(0, 0.03)) for number in range(TRIALS))
        write_down(f"zombies-{database.engine.dialect.name}", trials=TRIALS, overtaken=stale)
        assert stale > TRIALS / 4, f"only {stale} of {TRIALS} were frozen in time"
        with database.read() as session:
            assert session.scalar(select(func.count()).select_from(ResultObjectRow)) == TRIALS
            assert session.scalar(select(func.count()).select_from(DeliveryRow)) == TRIALS


def _trial(database: Database, zombie: Zombie, number: int, after_s: float) -> bool:
    """True when it was frozen before it had recorded its job; then what the other says is what stays."""
    job_id = job_over(database, number, key=str(number + 1))
    zombie.begin()
    time.sleep(after_s)
    zombie.signal(signal.SIGSTOP)
    was_running = False
    if not _in_a_transaction(database):  # nobody can overtake it there, nor need he
        with database.begin() as session:
            was_running = jobs.reap(session, LATER) == [job_id]
    if was_running:
        other = must_lease(database, worker="other")
        assert other.job_id == job_id
        if number % 2:
            produce(database, other, result(f"1.8.{job_id}"))
    zombie.signal(signal.SIGCONT)
    zombie.hears("computed")
    zombie.hears("ended")
    if was_running and not number % 2:  # then the zombie spoke while the other was at work
        produce(database, other, result(f"1.8.{job_id}"))
    with database.read() as session:
        made = session.scalars(select(ResultObjectRow.sop_instance_uid).where(ResultObjectRow.job_id == job_id)).all()
        assert made == [f"1.8.{job_id}" if was_running else f"1.9.{number + 1}"]
        assert session.execute(select(JobRow.state, JobRow.token).where(JobRow.id == job_id)).one() == (
            "PRODUCED", 1 + was_running,
        )  # fmt: skip
    return was_running


def _in_a_transaction(database: Database) -> bool:
    """Whether somebody else holds locks at this moment."""
    ask = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "SELECT id FROM series FOR UPDATE"}
    patience = {"sqlite": "PRAGMA busy_timeout=200", "postgresql": "SET lock_timeout=200"}
    dialect = database.engine.dialect.name
    engine = create_engine(database.engine.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(patience[dialect])
        try:
            connection.exec_driver_sql(ask[dialect])
        except OperationalError:
            return True
        if dialect == "sqlite":
            connection.exec_driver_sql("ROLLBACK")
    return False


@pytest.mark.catalogue("K8")
def test_processes_that_take_each_other_for_dead_end_each_job_once(databases: Databases) -> None:
    with databases.migrated() as url, _opened(url) as database:
        for number in range(JOBS):
            job_over(database, number, key=f"job {number}")
        running = [_python(RUN_ALL, url, str(number)) for number in range(PROCESSES)]
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        answers = [json.loads(process.communicate("go\n", timeout=120)[0]) for process in running]
        ended = [key for keys, _ in answers for key in keys]
        assert sorted(ended) == sorted(f"job {number}" for number in range(JOBS))
        assert sum(lost for _, lost in answers) > 0, "they did get in each other's way"
        with database.read() as session:
            assert session.scalar(select(func.count()).select_from(ResultObjectRow)) == JOBS


@pytest.mark.slow
def test_K10_a_process_that_computes_and_is_frozen_past_its_time_is_dead_not_asleep(tmp_path: Path) -> None:
    worker = WorkerProcess(device="cpu", memory_limit_bytes=8_000_000_000, time_limit_s=1)
    worker.prepare(["ct-lung"])
    process = worker._process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    with pytest.raises(WorkerLost, match="time limit"):
        worker.execute(order_over((), tmp_path), lambda _stage: None)
    worker.stop()
    eventually(lambda: not alive(process.pid), why="it does not wake up any more")


def _python(code: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}", *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@contextmanager
def _opened(url: str) -> Iterator[Database]:
    database = Database(url)
    try:
        yield database
    finally:
        database.close()
