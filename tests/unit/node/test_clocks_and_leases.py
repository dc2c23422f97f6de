"""The wall clock is set: by an hour, by a day, back. Leases and waits are lengths of time, not times of day (N17)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select
from support.rows import LEASE, NOW, job_over, must_lease, must_lease_delivery, produce, result

from radnode.node.alarms import Alarms
from radnode.node.delivery import backoff
from radnode.node.delivery.outages import Outages
from radnode.node.observability import Metrics
from radnode.node.upkeep import LONGEST_LEASE, Upkeep
from radnode.storage import confirmations, jobs, outbox
from radnode.storage.database import Database
from radnode.storage.files import FileStore
from radnode.storage.tables import DeliveryRow, JobRow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from radnode.storage.jobs import LeasedJob

JUMPS = pytest.mark.parametrize("hours", [1, 24, -1])


class Bench:
    """The upkeep of a node with both clocks in hand."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(f"sqlite:///{folder / 'radnode.db'}")
        self.database.upgrade()
        self.wall, self.monotonic_s = NOW, 0.0
        store = FileStore(folder / "data", reserve_bytes=1)
        self.upkeep = Upkeep(
            database=self.database, store=store, now=lambda: self.wall, alarms=Alarms(lambda: self.wall),
            metrics=Metrics(), retention_time=timedelta(days=400), peers=dict, on_jobs=lambda: None,
            monotonic_s=lambda: self.monotonic_s, renew=self._renew,
        )  # fmt: skip

        self.held: list[LeasedJob] = []

    def _renew(self) -> None:
        for job in self.held:
            with self.database.begin() as session:
                jobs.heartbeat(session, job.job_id, job.token, self.wall, LEASE)

    def wait(self, length: timedelta) -> None:
        """Both clocks go on."""
        self.wall += length
        self.monotonic_s += length.total_seconds()

    def states(self) -> tuple[list[str], list[str]]:
        """Of the jobs, of the deliveries."""
        with self.database.read() as session:
            return sorted(session.scalars(select(JobRow.state))), sorted(session.scalars(select(DeliveryRow.state)))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.database.close()


@JUMPS
def test_N17_no_jump_ends_the_lease_of_a_job_or_of_a_sending(bench: Bench, hours: int) -> None:
    job_over(bench.database, 1, key="sent")
    produce(bench.database, must_lease(bench.database), result("1.1"))
    must_lease_delivery(bench.database)
    job_over(bench.database, 2, key="running")
    job = must_lease(bench.database)

    bench.wall += timedelta(hours=hours)
    bench.upkeep.step()
    assert bench.states() == (["PRODUCED", "RUNNING"], ["SENDING"])

    for _ in range(2 * int(LONGEST_LEASE / LEASE)):
        with bench.database.begin() as session:
            jobs.heartbeat(session, job.job_id, job.token, bench.wall, LEASE)
        bench.wait(LEASE / 2)
        bench.upkeep.step()
    assert bench.states()[0] == ["PRODUCED", "RUNNING"]


@JUMPS
def test_N17_a_lease_that_nobody_prolongs_ends_for_all_that(bench: Bench, hours: int) -> None:
    job_over(bench.database, 1)
    job = must_lease(bench.database)
    bench.wall += timedelta(hours=hours)
    bench.upkeep.step()
    with bench.database.begin() as session:
        jobs.heartbeat(session, job.job_id, job.token, bench.wall, LEASE)

    bench.wait(LONGEST_LEASE + timedelta(seconds=1))
    bench.upkeep.step()
    assert bench.states()[0] == ["WAITING"]


def test_a_node_that_was_frozen_for_longer_than_a_lease_goes_on_with_its_jobs(bench: Bench) -> None:
    job_over(bench.database, 1)
    bench.held = [must_lease(bench.database)]
    bench.wait(10 * LEASE)
    bench.upkeep.step()
    assert bench.states()[0] == ["RUNNING"]


def test_N17_a_clock_that_is_set_back_delays_no_result_and_no_confirmation(bench: Bench) -> None:
    job_over(bench.database, 1, destinations=["PACS", "VIEWER"])
    produce(bench.database, must_lease(bench.database), result("1.1"))
    sent = must_lease_delivery(bench.database, "VIEWER")
    with bench.database.begin() as session:
        outbox.sent(session, sent, 0, bench.wall)
        outbox.postpone(session, "PACS", bench.wall + backoff.FIRST_WAIT, "status 0xA700")
    bench.wall -= timedelta(hours=1)
    bench.upkeep.step()
    bench.wait(LONGEST_LEASE + timedelta(seconds=1))
    bench.upkeep.step()
    with bench.database.read() as session:
        assert outbox.destinations_due(session, bench.wall) == ["PACS"]
        assert len(confirmations.unconfirmed(session, bench.wall, "VIEWER", 9)) == 1


def test_N17_a_clock_that_is_set_back_does_not_prolong_an_outage() -> None:
    outages = Outages()
    outages.unreachable("PACS", "no connection", NOW, jitter=1)
    assert not outages.may_try("PACS", NOW)
    assert outages.may_try("PACS", NOW - timedelta(hours=1))
