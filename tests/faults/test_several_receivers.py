"""Several receivers are one node: whatever arrives at whichever, there is one closing, one job, one object of each
kind; and when the one that leads dies, another does what it did.
"""

from __future__ import annotations

import os
import random
import threading

import httpx
import pytest
from support.flood import Flood
from support.mortal import kept_in, send
from support.receivers import SLICES, Site
from support.waiting import eventually

from radnode.node.claim import LEASE_TIME
from radnode.storage.receiver_tables import CarryingRow
from radnode.storage.tables import InstanceRow, JobRow

pytestmark = [pytest.mark.peer, pytest.mark.slow, pytest.mark.alone("several receivers as it is")]

DEATHS = int(os.environ.get("RADNODE_TEST_DEATHS_OF_RECEIVERS", "4"))


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
