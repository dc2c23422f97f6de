"""What an administrator is told about destinations that get something else than was configured."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from support.rows import LEASE, NOW, fail, job_over, must_lease, must_lease_delivery, produce, result, states

from radnode.config.peers import Peer
from radnode.node.alarms import Alarms
from radnode.node.observability import Metrics
from radnode.node.upkeep import Upkeep
from radnode.storage import jobs, outbox, results, workitems
from radnode.storage.database import Database
from radnode.storage.files import FileStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PEER = Peer(name="PACS", ae_title="PACS", host="127.0.0.1", port=104, receives=True, result_forms=("LABELMAP",))


class Bench:
    """The upkeep of a node with one destination, which refuses label maps."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(f"sqlite:///{folder / 'radnode.db'}")
        self.database.upgrade()
        self.peers = {"PACS": PEER}
        self.start(folder)
        self.refuse("LABELMAP")

    def start(self, folder: Path) -> None:
        """A process that knows nothing but the tables."""
        store = FileStore(folder / "data", reserve_bytes=1)
        store.self_test()
        self.now = NOW
        self.monotonic_s = 0.0
        self.alarms = Alarms(lambda: self.now)
        self._upkeep = Upkeep(
            database=self.database, store=store, now=lambda: self.now, alarms=self.alarms, metrics=Metrics(),
            retention_time=timedelta(days=4), peers=lambda: self.peers, on_jobs=lambda: None,
            monotonic_s=lambda: self.monotonic_s,
        )

    def refuse(self, form: str) -> None:
        """The destination does not take that form."""
        with self.database.begin() as session:
            results.remember_refusal(session, "PACS", form, PEER.digest, "status 0x0122", NOW)

    def wait(self, seconds: float, step_s: float = 0) -> None:
        """Time goes by, and somebody moves the wall clock; then one round."""
        self.monotonic_s += seconds
        self.now += timedelta(seconds=seconds + step_s)
        self._upkeep.step()

    def said(self) -> list[str]:
        """What the alarms say after a round."""
        self._upkeep.step()
        return sorted(alarm.text for alarm in self.alarms.raised())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.database.close()


@pytest.mark.catalogue("R2")
def test_a_refused_form_is_told_with_what_is_sent_instead_also_after_a_restart(bench: Bench, tmp_path: Path) -> None:
    for _ in range(2):
        (text,) = bench.said()
        assert text.startswith("PACS refused LABELMAP (status 0x0122); it gets SEG instead.")
        bench.start(tmp_path)


def test_what_is_sent_instead_is_not_itself_refused(bench: Bench) -> None:
    bench.refuse("SEG")
    assert ["it gets SC instead" in text for text in bench.said()] == [True, True]


def test_a_destination_that_is_configured_otherwise_is_offered_everything_again(bench: Bench) -> None:
    bench.said()
    bench.peers = {"PACS": PEER.model_copy(update={"result_forms": ("SEG",)})}
    assert bench.said() == []
    bench.peers = {"PACS": PEER}
    assert bench.said() == []


def test_a_destination_that_is_gone_raises_no_alarm(bench: Bench) -> None:
    bench.said()
    bench.peers = {}
    assert bench.said() == []


def test_an_alarm_that_the_sender_raised_is_cleared_when_the_form_is_offered_again(bench: Bench) -> None:
    bench.alarms.set("form:PACS:LABELMAP", "raised by the sender before the first round")
    with bench.database.begin() as session:
        results.forget_refusals(session, "PACS")
    assert bench.said() == []


@pytest.mark.catalogue("N17")
@pytest.mark.parametrize("step_s", [3600, -3600])
def test_N17_a_clock_that_is_moved_ends_no_lease(bench: Bench, step_s: float) -> None:
    """A job that went back because of it would run twice, and twice is a crash of its own."""
    job_over(bench.database, 1)
    job = must_lease(bench.database, bench.now)
    bench.wait(10, step_s)
    with bench.database.begin() as session:
        jobs.heartbeat(session, job.job_id, job.token, bench.now, LEASE)
    bench.wait(10)
    produce(bench.database, job, result("1.9.1"), now=bench.now)
    delivery = must_lease_delivery(bench.database, now=bench.now)
    bench.wait(10, step_s)
    with bench.database.begin() as session:
        outbox.sent(session, delivery, 0, bench.now)


def test_a_lease_that_nobody_prolongs_ends_after_a_moved_clock_all_the_same(bench: Bench) -> None:
    job_over(bench.database, 1)
    must_lease(bench.database, bench.now)
    bench.wait(10, 3600)
    bench.wait(301)
    assert must_lease(bench.database, bench.now).attempts == 2


@pytest.mark.catalogue("N17")
def test_a_moved_clock_is_an_alarm_for_an_hour(bench: Bench) -> None:
    bench.peers = {}
    bench.wait(10, -3600)
    assert bench.said() == ["the clock was moved back by 3600 s when it showed 12:00:10 UTC"]
    bench.wait(3601)
    assert bench.said() == []


@pytest.mark.catalogue("N17")
def test_N17_a_clock_that_is_a_month_ahead_deletes_no_image_at_once(bench: Bench) -> None:
    """Somebody gets an hour to set it right."""
    job_over(bench.database, 1)
    fail(bench.database, must_lease(bench.database))
    bench.wait(10, timedelta(days=30).total_seconds())
    assert states(bench.database) == {"FAILED": 1}
    bench.wait(3601)
    assert states(bench.database) == {"EXPIRED": 1}


def test_ended_work_items_are_forgotten_with_the_images_of_their_time(bench: Bench) -> None:
    with bench.database.begin() as session:
        for uid, state in (("1.1", "COMPLETED"), ("1.2", "SCHEDULED")):
            assert workitems.enter(session, uid, {}, route="r", study_instance_uid="1.2", now=NOW)
            item = workitems.find(session, uid)
            assert item is not None
            workitems.change(session, item, NOW, state=state)
    day, known = 24 * 3600, {}
    for days in (3, 2):
        bench.wait(days * day)
        with bench.database.read() as session:
            known[days] = {each.uid for each in workitems.newest(session)}
    assert known == {3: {"1.1", "1.2"}, 2: {"1.2"}}
