"""Workers, crashes, zombies and clocks in any order: what must hold after every step."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select
from support.rows import LEASE, NOW, close_all, insert_job, lease, new_job, receive, reception, result, states

from radnode.storage import jobs
from radnode.storage.database import Database
from radnode.storage.jobs import ALLOWED, JobState, LeaseLost
from radnode.storage.tables import JobRow

if TYPE_CHECKING:
    from support.databases import Databases

    from radnode.storage.jobs import LeasedJob


class JobMachine(RuleBasedStateMachine):
    """Up to four revisions of one series; every lease that was ever handed out stays in somebody's hands."""

    databases: Databases

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.leases: list[LeasedJob] = []
        self.tokens: dict[int, int] = {}
        self.seen: dict[int, JobState] = {}
        self.results = 0
        self.images: list[int] = []

    @initialize()
    def open_database(self) -> None:
        self.stack = ExitStack()
        self.database = Database(self.stack.enter_context(self.databases.migrated()))
        self.revision()

    def teardown(self) -> None:
        self.database.close()
        self.stack.close()

    @precondition(lambda self: len(self.images) < 4)
    @rule()
    def revision(self) -> None:
        """A late image, and the job over it and all before it."""
        (late,) = receive(self.database, reception(len(self.images)))
        self.images.append(late.instance_id)
        (series,) = close_all(self.database, self.now)
        key = f"job {series.revision}"
        assert insert_job(self.database, new_job(key, self.images, series=series), self.now) is not None

    @rule()
    def lease(self) -> None:
        job = lease(self.database, self.now)
        if job is None:
            return
        assert job.token > self.tokens.get(job.job_id, 0), "a token is never given twice"
        self.tokens[job.job_id] = job.token
        self.leases.append(job)

    @precondition(lambda self: self.leases)
    @rule(which=st.integers(0, 100), how=st.sampled_from(["heartbeat", "produce", "refuse", "fail", "crash"]))
    def use_any_lease(self, which: int, how: str) -> None:
        """The holder, or a zombie with a token of long ago."""
        job = self.leases[which % len(self.leases)]
        before = self._rows()
        holds = before[job.job_id] == (JobState.RUNNING, job.token)
        try:
            self._use(job, how)
        except LeaseLost:
            assert not holds
            assert self._rows() == before
        else:
            assert holds

    @rule()
    def reap(self) -> None:
        with self.database.begin() as session:
            jobs.reap(session, self.now)

    @rule()
    def restart(self) -> None:
        with self.database.begin() as session:
            jobs.give_back(session, self.now, "another")
        assert not [state for state, _ in self._rows().values() if state is JobState.RUNNING]

    @rule(seconds=st.sampled_from([-3600, -1, 1, 29, 31, 86400]))
    def clock(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @invariant()
    def the_ledger_balances_and_agrees_with_the_jobs(self) -> None:
        found = states(self.database)
        live = [state for state, _ in self._rows().values() if state in (JobState.WAITING, JobState.RUNNING)]
        assert ("IN_JOB" in found) == bool(live), "instances are in a job exactly as long as there is one"
        assert "RECEIVED" not in found

    @invariant()
    def states_move_only_along_the_table(self) -> None:
        for job_id, (state, token) in self._rows().items():
            old = self.seen.get(job_id, JobState.WAITING)
            assert _reachable(old, state), f"{old} became {state}"
            self.seen[job_id] = state
            assert token == self.tokens.get(job_id, 0), "only a lease changes the token"

    def _use(self, job: LeasedJob, how: str) -> None:
        with self.database.begin() as session:
            if how == "heartbeat":
                jobs.heartbeat(session, job.job_id, job.token, self.now, LEASE)
            elif how == "produce":
                self.results += 1
                jobs.produced(
                    session, job.job_id, job.token, objects=[result(f"1.9.{self.results}")],
                    destinations={"PACS": ("SEG",)}, report={}, now=self.now,
                )  # fmt: skip
            elif how == "refuse":
                jobs.not_processed(session, job.job_id, job.token, "no lung", {}, self.now)
            elif how == "fail":
                jobs.failed(session, job.job_id, job.token, "broke", {}, self.now)
            else:
                jobs.crashed(session, job.job_id, job.token, "killed", self.now)

    def _rows(self) -> dict[int, tuple[JobState, int]]:
        with self.database.read() as session:
            return {
                job_id: (JobState(state), token)
                for job_id, state, token in session.execute(select(JobRow.id, JobRow.state, JobRow.token))
            }


def _reachable(old: JobState, new: JobState) -> bool:
    """In one step, or in two where one operation ends a job and supersedes it at once."""
    return new is old or new in ALLOWED[old] or any(new in ALLOWED[between] for between in ALLOWED[old])


def test_any_order_of_leases_crashes_zombies_and_clocks_keeps_ledger_and_states(databases: Databases) -> None:
    machine = type("Machine", (JobMachine,), {"databases": databases})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=15, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
