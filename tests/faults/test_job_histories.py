"""Any history of a node in any order: receive, judge, run, die, come back, send, confirm, edit, expire, clocks.

Hypothesis invents histories of 50 steps over the real tables; after each step every rule of
:mod:`support.history_rules` must hold. RADNODE_TEST_HISTORIES sets how many there are, RADNODE_TEST_SEED which.
"""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from support import figures
from support.histories import DESTINATIONS, IN_MEMORY, Configuration, World
from support.history_rules import RULES, View, a_state_is_reached_only_from_its_neighbours, look
from support.rows import PIPELINES, reception

from radnode.node.upkeep import LONGEST_LEASE
from radnode.storage import catalog
from radnode.storage.database import Database
from radnode.storage.jobs import JobState, LeaseLost
from radnode.storage.outbox import DeliveryLost, DeliveryState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from radnode.storage.catalog import SeriesSnapshot
    from radnode.storage.jobs import LeasedJob
    from radnode.storage.outbox import Delivery

pytestmark = pytest.mark.alone("has a database of its own")

HISTORIES = int(os.environ.get("RADNODE_TEST_HISTORIES", "40"))
STEPS = 50

SERIES = st.sampled_from([1, 2])
ODD_SERIES = 3
"""Of another study: contradictions stay with it, else hardly a history would get as far as a result."""
NUMBERS = st.integers(1, 4)
DESTINATION = st.sampled_from(DESTINATIONS)
ANY = st.integers(0, 1000)
TAKEN_BY = st.sampled_from(["lease", "restart"])
ENDS = st.sampled_from(["heartbeat", "produce", "refuse", "fail", "crash"])


class Histories(RuleBasedStateMachine):
    """Two series of one study and one of another. Whoever once held a lease may come back with it at any time."""

    database: Database

    @initialize()
    def begin(self) -> None:
        self.world = World(self.database)
        self.before = self._look()
        self.a_series_is_complete(1, 1)

    @rule(series=SERIES, number=NUMBERS, again=st.booleans())
    def receive(self, series: int, number: int, again: bool) -> None:
        """New ones, late ones, and the same again."""
        self._receive(series, *((number, number) if again else (number,)))

    @rule(series=SERIES, number=NUMBERS)
    def a_series_is_complete(self, series: int, number: int) -> None:
        """The common way: some images, their headers, the job."""
        self._receive(series, *range(1, number + 1))
        self._judge_all(hold=False)

    @rule(odd=st.sampled_from(["none", "bytes", "series", "patient"]))
    def receive_a_contradiction(self, odd: str) -> None:
        """Other bytes under a known UID, a UID of another series, another patient."""
        self.world.receive([
            reception(
                11 if odd == "series" else 31, series=ODD_SERIES, study=2, at=self.world.wall,
                content="edited" if odd == "bytes" else "", patient_id="P2" if odd == "patient" else "P1",
            )
        ])  # fmt: skip

    @rule(last_is_broken=st.booleans())
    def read_headers(self, last_is_broken: bool) -> None:
        self.world.read_headers(last_is_broken=last_is_broken)

    @rule(series=SERIES, number=NUMBERS)
    def an_image_comes_between_the_look_and_the_judgement(self, series: int, number: int) -> None:
        """What was seen is judged only if it is still so (K6)."""
        with self.database.read() as session:
            seen = catalog.open_series(session)
        self._receive(series, number)
        self.world.snapshots += seen
        for each in seen:
            self._judge_as_seen(each)

    @rule(hold=st.sampled_from([False, False, False, True]))
    def judge(self, hold: bool) -> None:
        self._judge_all(hold=hold)

    def _receive(self, series: int, *numbers: int) -> None:
        self.world.receive([reception(10 * series + each, series=series, at=self.world.wall) for each in numbers])

    def _judge_all(self, *, hold: bool) -> None:
        self.world.read_headers()
        with self.database.read() as session:
            found = catalog.open_series(session)
        for series in found:
            assert self.world.judge(series, hold=hold)
            self.world.snapshots.append(series)

    @precondition(lambda self: self.world.snapshots)
    @rule(which=ANY)
    def judge_twice(self, which: int) -> None:
        """A pulse too many, or one that comes late (K18)."""
        self._judge_as_seen(self.world.snapshots[which % len(self.world.snapshots)])

    def _judge_as_seen(self, series: SeriesSnapshot) -> None:
        with self.database.read() as session:
            now = {each.series_id: (each.revision, each.received) for each in catalog.open_series(session)}
        still = now.get(series.series_id) == (series.revision, series.received)
        self.world.read_headers()
        assert self.world.judge(series, hold=False) == still

    @rule(
        number=ANY, pipelines=st.sampled_from([PIPELINES, PIPELINES[:1], PIPELINES[1:], ()]),
        destinations=st.sampled_from([DESTINATIONS, DESTINATIONS[:1], DESTINATIONS[1:]]),
    )  # fmt: skip
    def edit(self, number: int, pipelines: tuple[str, ...], destinations: tuple[str, ...]) -> None:
        self.world.configuration = Configuration(
            digest=f"edit {number}", pipelines=pipelines, destinations=destinations
        )

    @rule(worker=st.integers(0, 1))
    def claim(self, worker: int) -> None:
        run = self.world.lease(worker)
        assert (run is not None) == any(
            job.state == JobState.WAITING and not (self.world.held and self._is_of_the_study(job_id))
            for job_id, job in self.before.jobs.items()
        )
        if run is not None:
            ordered = self.world.ordered[run.job.job_id]
            assert run.job.configuration_digest == ordered.configuration_digest
            assert run.job.destinations == ordered.destinations
            assert len(run.job.inputs) == len(ordered.inputs)

    @rule(how=st.sampled_from(["produce", "produce", "produce", "refuse", "fail", "crash"]))
    def a_worker_runs_a_job(self, how: str) -> None:
        """The common way: nothing comes between."""
        run = self.world.lease(0)
        if run is not None:
            self.world.end(run.job, how)

    @precondition(lambda self: self.world.runs)
    @rule(which=ANY, how=ENDS)
    def anybody_ends(self, which: int, how: str) -> None:
        """The holder, or a zombie with a token of long ago (K10)."""
        self._end(self.world.runs[which % len(self.world.runs)].job, how)

    @rule(by=TAKEN_BY, how=ENDS)
    def a_job_changes_hands(self, by: str, how: str) -> None:
        """And the first holder comes back, before or after the second has ended it (K10)."""
        first = self.world.lease(0)
        if first is None:
            return
        self._take_away(by)
        second = self.world.lease(1)
        self.before = self._look()
        self._end(first.job, how)
        if second is not None and how != "heartbeat":
            self._end(second.job, how)
            self.before = self._look()
            self._end(first.job, how)

    @precondition(lambda self: self.world.runs)
    @rule(which=ANY)
    def a_holder_freezes(self, which: int) -> None:
        self.world.runs[which % len(self.world.runs)].renewed = False

    @rule(seconds=st.sampled_from([1, 20, 31, 301]))
    def time_passes(self, seconds: int) -> None:
        self.world.pass_time(seconds)

    @rule(seconds=st.sampled_from([-3600, 3600, 86_400]))
    def the_wall_clock_jumps(self, seconds: int) -> None:
        self.world.wall += timedelta(seconds=seconds)
        self._reap()

    @rule()
    def leases_are_reaped(self) -> None:
        self._reap()

    def _reap(self) -> None:
        """No jump of the clock ends the lease of somebody who prolongs it (N17)."""
        alive = {run.job.job_id: run.job.token for run in self.world.runs if run.renewed}
        held = {job_id for job_id, token in alive.items() if self.before.jobs[job_id].token == token}
        assert not held & set(self.world.reap())

    def _take_away(self, by: str) -> None:
        """Nobody prolongs a lease any more, or the node dies."""
        if by == "restart":
            self.world.restart()
            return
        for run in self.world.runs:
            run.renewed = False
        for _ in range(2):  # the second time the clock is trusted again, whatever it did before
            self.world.reap()
            self.world.pass_time(LONGEST_LEASE.total_seconds() + 1)
        self.world.reap()

    @rule()
    def restart(self) -> None:
        self.world.restart()
        now = self._look()
        assert JobState.RUNNING not in {job.state for job in now.jobs.values()}
        assert DeliveryState.SENDING not in {each.state for each in now.deliveries}

    @rule(destination=DESTINATION, arrives=st.booleans())
    def send(self, destination: str, arrives: bool) -> None:
        delivery = self.world.send(destination, arrives=arrives)
        if delivery is not None:
            assert self.before.jobs[delivery.job_id].state != JobState.SUPERSEDED
            there = {
                each.sop_instance_uid for each in self.before.deliveries
                if each.destination == destination and each.state in ("SENT", "CONFIRMED")
            }  # fmt: skip
            (row,) = [each for each in self.before.deliveries if each.id == delivery.delivery_id]
            assert there.issuperset(json.loads(row.references)), "a report goes after what it refers to (R9)"

    @rule(destination=DESTINATION)
    def everything_due_is_sent(self, destination: str) -> None:
        """The common way."""
        while (delivery := self.world.send(destination, arrives=True)) is not None:
            self.world.answer(delivery, "sent")

    @rule(how=st.sampled_from(["written", "written", "failed", "lost"]))
    def a_result_is_written_again(self, how: str) -> None:
        self.world.rewrite(how)

    @rule(destination=DESTINATION, how=st.sampled_from(["transient", "permanent", "form", "form"]))
    def one_is_refused(self, destination: str, how: str) -> None:
        delivery = self.world.send(destination, arrives=False)
        if delivery is not None:
            self.world.answer(delivery, how)

    @rule(destination=DESTINATION, by=TAKEN_BY, how=st.sampled_from(["sent", "transient", "permanent"]))
    def a_sending_changes_hands(self, destination: str, by: str, how: str) -> None:
        """And the answer to the first comes after all."""
        first = self.world.send(destination, arrives=True)
        if first is None:
            return
        self._take_away(by)
        self.world.send(destination, arrives=True)
        self.before = self._look()
        self._answer(first, how)

    @rule(destination=DESTINATION, late=st.booleans(), how=st.sampled_from(["transient", "sent", "form"]))
    def what_a_report_refers_to_is_missed_while_the_report_is_on_its_way(
        self, destination: str, late: bool, how: str
    ) -> None:
        """The sender and who confirms are two threads (R9)."""
        self.a_worker_runs_a_job("produce")
        segmentation = self.world.send(destination, arrives=True)
        if segmentation is None:
            return
        self.world.answer(segmentation, "sent")
        report = self.world.send(destination, arrives=True)
        self.world.look_for(destination, lost=True, late=late)
        if report is not None:
            self.before = self._look()
            self._answer(report, how)

    @precondition(lambda self: self.world.sendings)
    @rule(which=ANY, how=st.sampled_from(["sent", "transient", "permanent", "form"]))
    def anybody_is_answered(self, which: int, how: str) -> None:
        """The answer to what is being sent, or to what was given up long ago."""
        delivery = self.world.sendings[which % len(self.world.sendings)]
        if how == "sent" and delivery.sop_instance_uid not in self.world.held_by[delivery.destination]:
            how = "transient"
        self._answer(delivery, how)

    @rule(destination=DESTINATION, lost=st.booleans(), late=st.booleans())
    def confirm(self, destination: str, lost: bool, late: bool) -> None:
        self.world.look_for(destination, lost=lost, late=late)

    @rule()
    def resend_by_hand(self) -> None:
        self.world.resend()

    @rule(lease_at_once=st.booleans())
    def somebody_holds_the_study(self, lease_at_once: bool) -> None:
        """No job of it starts, whatever else happens, until it is let go."""
        self.world.hold(held=True)
        run = self.world.lease(0) if lease_at_once else None
        assert run is None or {each.series_instance_uid for each in run.job.inputs} == {f"1.2.4.{ODD_SERIES}"}

    @rule()
    def somebody_lets_the_study_go(self) -> None:
        self.world.hold(held=False)

    @rule(which=ANY)
    def somebody_discards_a_job(self, which: int) -> None:
        """Also one that runs: what its worker brings later has no effect."""
        if self.before.jobs:
            self.world.discard(sorted(self.before.jobs)[which % len(self.before.jobs)])

    @rule()
    def somebody_orders_another_run(self) -> None:
        self.world.run_again()
        self.before = self._look()
        self._judge_all(hold=False)

    @rule(series=SERIES, read=st.booleans())
    def somebody_decides_about_an_incomplete_series(self, series: int, read: bool) -> None:
        self.world.decide(series, read=read)

    @rule(days=st.sampled_from([0, 1]))
    def old_images_expire(self, days: int) -> None:
        self.world.expire(timedelta(days=days))

    @invariant()
    def every_rule_holds(self) -> None:
        after = self._look()
        for each in RULES:
            each(after, self.world)
        a_state_is_reached_only_from_its_neighbours(self.before, after)
        self.before = after

    def _end(self, job: LeasedJob, how: str) -> None:
        row = self.before.jobs[job.job_id]
        holds = (row.state, row.token) == (JobState.RUNNING, job.token)
        try:
            self.world.end(job, how)
        except LeaseLost:
            assert not holds
            assert self._look() == self.before
        else:
            assert holds, "a stale token had an effect"

    def _answer(self, delivery: Delivery, how: str) -> None:
        (row,) = [each for each in self.before.deliveries if each.id == delivery.delivery_id]
        holds = (row.state, row.token) == (DeliveryState.SENDING, delivery.token)
        try:
            self.world.answer(delivery, how)
        except DeliveryLost:
            assert not holds
            assert self._look() == self.before
        else:
            assert holds, "a stale token had an effect"

    def _is_of_the_study(self, job_id: int) -> bool:
        """Of the one with two series."""
        odd = {each.id for each in self.before.instances if each.series_instance_uid == f"1.2.4.{ODD_SERIES}"}
        return not self.before.inputs[job_id] <= odd

    def _look(self) -> View:
        with self.database.read() as session:
            return look(session)


@pytest.fixture
def in_memory() -> Iterator[Database]:
    database = Database(IN_MEMORY)
    with database.engine.connect():  # the tables live as long as somebody is connected
        database.upgrade()
        yield database
    database.close()


@pytest.mark.catalogue("N17", "K6", "K7", "K8", "K10", "K18", "C5")
def test_no_history_loses_an_instance_runs_a_job_twice_or_sends_what_is_not_recorded(in_memory: Database) -> None:
    began = time.monotonic()
    machine = type("Machine", (Histories,), {"database": in_memory})
    phases = (Phase.generate, Phase.shrink)
    run_state_machine_as_test(
        seed(int(os.environ.get("RADNODE_TEST_SEED", 20260301 + figures.runs("histories"))))(machine),
        settings=settings(
            max_examples=HISTORIES, stateful_step_count=STEPS, deadline=None, phases=phases, database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
    figures.add_up("histories", histories=HISTORIES, steps=HISTORIES * STEPS, seconds=round(time.monotonic() - began))
