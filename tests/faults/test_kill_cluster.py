"""Two receivers, a Ray head and three machines with a worker each, on PostgreSQL and one folder: SIGKILL to any of them
at any moment loses nothing that was acknowledged, and every series has one answer.

Whoever ended is begun again, as a service manager would; meanwhile two modalities and a flood of images that no route
wants go on through a balancer, and the PACS loses answers. RADNODE_TEST_KILLS sets how many kills there are, a kind in
its turn: for each one a series arrives. Fewer than seven leave out the head (tests/integration/test_ray.py has it).
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select
from support import figures, sample_pipelines
from support.chest import write_chest
from support.databases import PostgresDatabases
from support.flood import Flood
from support.lives import LoadedNode
from support.modalities import Modality
from support.mortal import kept_in
from support.node import archive, modality
from support.pacs import Attempt, Cut, Fault, Silence
from support.postgres import Cluster
from support.ray_head import Head, descendants
from support.waiting import eventually

from radnode.storage import ledger
from radnode.storage.database import Database
from radnode.storage.tables import DeliveryRow, EventRow, JobRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.chest import Series
    from support.pacs import StandInPacs

pytestmark = [pytest.mark.peer, pytest.mark.slow, pytest.mark.alone("several receivers as it is")]

KILLS = int(os.environ.get("RADNODE_TEST_KILLS", "5"))
MACHINES = 3
SLICES = 10
FLOOD_OF_A_KILL = 40
SAMPLE = {"name": "boxes", "when": {"modality": "CT"}, "run": ["sample"], "send": ["PACS"]}
TAKES_A_WHILE = "import time\ntime.sleep(1.5)"
# Else they would seldom meet one: Ray needs half a minute after its head.
DURING_JOBS = ("worker on Ray", "raylet", "connection to Ray", "head")
# Ray gives a head a minute to come back before its machines end.
RAY_WAITS_S = 10


class Site:
    """Everything that may die, and how each is begun again."""

    def __init__(self, folder: Path, url: str, pacs: StandInPacs, running: ExitStack) -> None:
        self.data = folder / "data"
        self.database = Database(url)
        running.callback(self.database.close)
        environment = {"PYTHONPATH": str(sample_pipelines.install(folder / "packages", extra=TAKES_A_WHILE))}
        self.head = running.enter_context(
            Head({**environment, "RAY_gcs_rpc_server_reconnect_timeout_s": str(RAY_WAITS_S)}, cpus=0)
        )
        self.machines = [self.head.machine(number) for number in range(MACHINES)]
        for machine in self.machines:
            running.callback(machine.kill)
            machine.launch()
        self.receivers = [
            running.enter_context(LoadedNode(
                folder / name, peers=[archive(pacs.port), modality()], routes=[SAMPLE],
                settings={
                    "database_url": url, "data": str(self.data), "quiet_time_s": 10, "hold_after_s": 600,
                    "ray": {"address": self.head.address}, "workers": [{"memory_limit": "1 GB"}] * MACHINES,
                },
                environment={**environment, **self.head.shown, "RADNODE_RECEIVER": name},
            ))
            for name in ("a", "b")
        ]  # fmt: skip

    def tend(self) -> None:
        """Begin again what ended by itself, as a service manager does."""
        for machine in self.machines:
            if machine.ended:
                machine.kill()
                machine.launch()

    def runs_a_job(self, within: float) -> bool:
        """Wait for one; False if none runs in time."""

        def look() -> int:
            self.tend()
            return self.count(JobRow, JobRow.state == "RUNNING")

        with suppress(AssertionError):
            return eventually(look, within=within, every=0.05) > 0
        return False

    def on_machines(self, named: str) -> list[int]:
        """Processes of Ray."""
        return [pid for each in self.machines for pid in each.processes(named)]

    def of_receivers(self, named: str) -> list[int]:
        """Processes beside the receivers."""
        return [pid for each in self.receivers for pid in descendants(each.pid, named)]

    def said(self) -> str:
        """What everybody said last."""
        return "\n".join([*(each.log() for each in self.receivers), *(each.said() for each in self.machines)])

    def count(self, *what: object) -> int:
        """Rows of a table, with conditions."""
        table, *conditions = what
        with self.database.read() as session:
            return session.scalar(select(func.count()).select_from(table).where(*conditions)) or 0  # type: ignore[call-overload]


class Kills:
    """One kind after the other, each at a moment and of one of those that there are, by chance."""

    def __init__(self, site: Site, seed: int) -> None:
        self._site = site
        self._random = random.Random(seed)
        self.number: Counter[str] = Counter()
        self.in_jobs = 0
        self._kinds: dict[str, Callable[[], bool]] = {
            "receiver a": lambda: self._receiver(0),
            "receiver b": lambda: self._receiver(1),
            "process that reads headers": lambda: self._one_of(site.of_receivers("header_process")),
            "worker on Ray": lambda: self._one_of(site.on_machines("ray::RayWorker")),
            "raylet": lambda: self._one_of(site.on_machines("raylet/raylet")),
            "connection to Ray": lambda: self._one_of(site.of_receivers("ray_driver")),
            "head": self._head,
        }

    def all(self, number: int, before_each: Callable[[], None]) -> None:
        """So many, in rounds in which each kind has its turn; who is not there just now is passed over."""
        while self.number.total() < number:
            for kind in self._random.sample(sorted(self._kinds), len(self._kinds)):
                if self.number.total() == number:
                    return
                before_each()
                if kind in DURING_JOBS:
                    self.in_jobs += self._site.runs_a_job(within=60)
                time.sleep(self._random.uniform(0, 1))
                self.number[kind] += self._kinds[kind]()
                self._site.tend()

    def _receiver(self, which: int) -> bool:
        self._site.receivers[which].kill()
        self._site.receivers[which].start()
        return True

    def _head(self) -> bool:
        """Its machines notice, and end as well."""
        self._site.head.kill()
        time.sleep(self._random.uniform(0, 3))
        self._site.head.start()
        return True

    def _one_of(self, pids: list[int]) -> bool:
        if not pids:
            return False
        with suppress(ProcessLookupError):
            os.kill(self._random.choice(pids), signal.SIGKILL)
        return True


@pytest.fixture
def site(tmp_path: Path, pacs: StandInPacs) -> Iterator[Site]:
    """Everybody is there but the machines, which come."""
    with ExitStack() as running:
        cluster = running.enter_context(Cluster())
        url = running.enter_context(PostgresDatabases(cluster).empty())
        yield Site(tmp_path, url, pacs, running)


def test_whatever_is_killed_nothing_acknowledged_is_lost_and_every_series_has_one_answer(
    site: Site, pacs: StandInPacs, tmp_path: Path
) -> None:
    seed = int(os.environ.get("RADNODE_TEST_SEED", 20260111 + figures.runs("kills-cluster")))
    began = time.monotonic()
    chance = random.Random(seed)
    all_series = [
        write_chest(tmp_path / f"ct-{n}", name=str(n), patient_id=f"CLUSTER-{n:03d}", slices=SLICES, size=32)
        for n in range(KILLS)
    ]
    ports = [each.port for each in site.receivers]
    modalities = [Modality(all_series[0::2], ports), Modality(all_series[1::2], ports[::-1])]
    flood = Flood(*ports)
    senders = [*modalities, flood]
    kills = Kills(site, seed)

    def plan(_attempt: Attempt) -> Fault | None:
        return chance.choice([None, None, None, Silence(0.3), Cut(), Cut(keep=True)])

    def more() -> None:
        modalities[kills.number.total() % 2].allow()
        flood.allow(FLOOD_OF_A_KILL)

    pacs.plan = plan
    for each in senders:
        each.start()
    try:
        kills.all(KILLS, more)
        pacs.plan = lambda _attempt: None
        for each in modalities:
            each.allow(KILLS)
        _all_is_sent(site, lambda: all(each.ended for each in modalities) and len(flood.acknowledged) == flood.allowed,
                     len(all_series))
    finally:
        for each in senders:
            each.stop()

    acknowledged = {uid: digest for each in senders for uid, digest in each.acknowledged.items()}
    kept = kept_in(site.data)
    lost = [uid for uid, digest in acknowledged.items() if kept.get(uid) != digest]
    figures.add_up("kills-cluster", kills=kills.number, in_jobs=kills.in_jobs, acknowledged=len(acknowledged),
                   lost=len(lost), series=len(all_series), seconds=round(time.monotonic() - began))
    assert lost == []
    assert len(acknowledged) == len(all_series) * SLICES + flood.allowed
    with site.database.read() as session:
        balance = ledger.balance(session)
    assert (balance.holds, balance.acknowledged) == (True, len(acknowledged)), balance
    _assert_one_answer_each(site, pacs, all_series)


def _all_is_sent(site: Site, acknowledged: Callable[[], bool], series: int) -> None:
    """Everything acknowledged, every job at its end, nothing on its way."""
    waits = DeliveryRow.state.in_(("WAITING", "SENDING"))

    def done() -> bool:
        site.tend()
        return (
            acknowledged()
            and site.count(JobRow, JobRow.state == "PRODUCED") == series
            and site.count(DeliveryRow, waits) == 0
        )

    eventually(done, within=300 + 10 * series, every=0.5, why=site.said)


def _assert_one_answer_each(site: Site, pacs: StandInPacs, all_series: list[Series]) -> None:
    assert pacs.conflicts == []
    answers = Counter((str(result.PatientID), str(result.Modality)) for result in pacs.stored())
    assert answers == {(series.patient_id, kind): 1 for series in all_series for kind in ("SEG", "SR")}
    assert len({attempt.sop_instance_uid for attempt in pacs.attempts}) == 2 * len(all_series), (
        "no result was ever tried under another UID"
    )
    assert site.count(JobRow) == len(all_series)
    for kind in ("series closed", "job inserted", "job produced"):
        closed = EventRow.series_id.in_(select(JobRow.series_id))
        assert site.count(EventRow, EventRow.kind == kind, closed) == len(all_series), kind
    assert list((site.data / "spool").rglob("*.part")) == []
