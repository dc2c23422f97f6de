"""Several receivers are one node: whatever arrives at whichever, there is one closing, one job, one object of each
kind; and when the one that leads dies, another does what it did.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sqlalchemy import select
from support import sample_pipelines
from support.chest import write_chest
from support.databases import PostgresDatabases
from support.flood import Flood
from support.mortal import kept_in, send
from support.node import NodeProcess, archive, modality
from support.postgres import Cluster
from support.waiting import eventually

from radnode.node.claim import LEASE_TIME
from radnode.storage.database import Database
from radnode.storage.receiver_tables import CarryingRow, ReceiverRow
from radnode.storage.tables import DeliveryRow, EventRow, InstanceRow, JobRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.chest import Series
    from support.pacs import StandInPacs

pytestmark = [pytest.mark.peer, pytest.mark.slow]

SLICES = 8
DEATHS = int(os.environ.get("RADNODE_TEST_DEATHS_OF_RECEIVERS", "4"))
SAMPLE = {"name": "boxes", "when": {"modality": "CT"}, "run": ["sample"], "send": ["PACS"]}
OBEDIENT = """
import time
from pathlib import Path
while (Path(os.environ["RADNODE_TEST_FOLDER"]) / "hold").exists():
    time.sleep(0.02)
"""


class Site:
    """A data folder, a database and a PACS, and the receivers that work on them."""

    def __init__(self, folder: Path, url: str, pacs: StandInPacs, start_node: Callable[..., NodeProcess]) -> None:
        self.folder = folder
        self.pacs = pacs
        self.database = Database(url)
        self._url = url
        self._start_node = start_node
        self._packages = sample_pipelines.install(folder / "packages", extra=OBEDIENT)

    def start(self, name: str) -> NodeProcess:
        """A receiver of this name."""
        return self._start_node(
            peers=[archive(self.pacs.port), modality()], routes=[SAMPLE],
            settings={"database_url": self._url, "data": str(self.folder / "data"), "quiet_time_s": 10},
            environment={"PYTHONPATH": str(self._packages), "RADNODE_TEST_FOLDER": str(self.folder),
                         "RADNODE_RECEIVER": name},
        )

    def series(self, name: str) -> Series:
        """One that its geometry closes."""
        return write_chest(self.folder / name, name=name, patient_id=name, slices=SLICES, size=32)

    def rows(self, table: type[Any]) -> list[Any]:
        """All of a table."""
        with self.database.read() as session:
            return list(session.scalars(select(table)))

    def leader(self) -> str:
        """Who said last that it leads."""
        with self.database.read() as session:
            return ", ".join(session.scalars(select(ReceiverRow.name).where(ReceiverRow.leads)))

    def assert_answered_once(self, series: Series, why: Callable[[], str]) -> None:
        """Closed once, one job, one object of each kind."""

        def sent() -> bool:
            return [row.state in ("SENT", "CONFIRMED") for row in self.rows(DeliveryRow)] == [True, True]

        eventually(sent, within=120, why=why)
        stored = Counter(str(each.Modality) for each in self.pacs.stored(StudyInstanceUID=series.study_instance_uid))
        assert stored == {"SEG": 1, "SR": 1}
        assert [job.state for job in self.rows(JobRow)] == ["PRODUCED"]
        assert [event.kind for event in self.rows(EventRow)].count("series closed") == 1


@pytest.fixture
def url() -> Iterator[str]:
    """A PostgreSQL database, there for longer than the receivers."""
    with Cluster() as cluster, PostgresDatabases(cluster).empty() as made:
        yield made


@pytest.fixture
def site(url: str, tmp_path: Path, pacs: StandInPacs, start_node: Callable[..., NodeProcess]) -> Iterator[Site]:
    """No receiver yet."""
    made = Site(tmp_path, url, pacs, start_node)
    yield made
    made.database.close()


def test_a_series_that_comes_over_two_receivers_is_closed_once_and_answered_once(site: Site) -> None:
    """Half of it at each, and a third of it at both, all at once."""
    first, second = site.start("a"), site.start("b")
    series = site.series("spread")
    parts = ((first, series.files[:5]), (second, series.files[3:]))
    senders = [threading.Thread(target=send, args=part) for part in parts]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()

    site.assert_answered_once(series, first.log)
    assert len(site.rows(InstanceRow)) == SLICES
    assert first.ledger()["difference"] == 0
    assert first.ledger()["acknowledged"] == SLICES
    eventually(lambda: site.rows(CarryingRow) == [], within=30, why=second.log)


def test_when_the_receiver_that_leads_dies_another_does_its_work(site: Site) -> None:
    """Killed while its worker computes; what it acknowledged is read, computed and sent by the other."""
    (site.folder / "hold").touch()
    first, second = site.start("a"), site.start("b")
    series = site.series("bereft")
    send(first, series.files)
    eventually(lambda: [job.state for job in site.rows(JobRow)] == ["RUNNING"], within=60, why=first.log)
    assert site.leader() == "a"
    first.kill()
    (site.folder / "hold").unlink()

    eventually(lambda: "node.leads" in second.log(), within=LEASE_TIME.total_seconds() + 60, why=second.log)
    site.assert_answered_once(series, second.log)
    assert second.ledger()["difference"] == 0


def test_a_receiver_that_does_not_lead_has_no_page_and_says_who_has(site: Site) -> None:
    first, second = site.start("a"), site.start("b")
    assert first.status()
    answer = httpx.get(f"http://127.0.0.1:{second.http_port}/api/status", trust_env=False)
    assert (answer.status_code, "receiver a leads" in answer.text) == (503, True)
    assert "radnode_associations_open" in second.metrics()


def test_when_the_receiver_that_leads_ends_another_leads_and_nobody_is_turned_away(site: Site) -> None:
    first, second = site.start("a"), site.start("b")
    first.stop()
    series = site.series("after")
    send(second, series.files)
    site.assert_answered_once(series, second.log)
    assert site.leader() == "b"


def test_whichever_receiver_dies_nothing_that_was_acknowledged_is_lost(site: Site) -> None:
    """Senders behind a balancer, which take the next receiver when one is gone; who leads is killed as well."""
    receivers = [site.start("a"), site.start("b")]
    chance = random.Random(int(os.environ.get("RADNODE_TEST_SEED", "1")))
    flood = Flood(*(node.port for node in receivers), associations=4)
    flood.start()
    try:
        for life in range(DEATHS):
            victim = receivers[life % 2]
            enough = len(flood.acknowledged) + chance.randint(20, 80)
            flood.allow(100)
            eventually(lambda enough=enough: len(flood.acknowledged) >= enough, within=60, every=0.001, why=victim.log)
            victim.kill()
            victim.start()
        eventually(lambda: len(flood.acknowledged) == flood.allowed, within=120, why=receivers[0].log)
    finally:
        flood.stop()

    kept = kept_in(site.folder / "data")
    assert [uid for uid, digest in flood.acknowledged.items() if kept.get(uid) != digest] == []
    eventually(lambda: bool(site.leader()), within=LEASE_TIME.total_seconds() + 60, why=receivers[0].log)
    leader = receivers["ab".index(site.leader())]
    ledger = leader.ledger()
    assert (ledger["difference"], ledger["acknowledged"]) == (0, len(site.rows(InstanceRow)))
    assert {row.sop_instance_uid for row in site.rows(InstanceRow)} == flood.acknowledged.keys()
    eventually(lambda: list((site.folder / "data" / "spool").rglob("*.part")) == [], within=30, why=leader.log)
