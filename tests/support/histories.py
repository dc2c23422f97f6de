"""A node's life in a model: real tables, and beside them a clock, a PACS and a file store that a test can turn at will.

:mod:`faults.test_job_histories` plays histories with it. What must hold after each step is said in
:mod:`support.history_rules`.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from radnode.node.clocks import ClockWatch
from radnode.node.upkeep import LONGEST_LEASE
from radnode.storage import by_hand, catalog, confirmations, jobs, ledger, outbox, receptions, retention, rewrites
from radnode.storage.jobs import LeasedJob, NewJob
from radnode.storage.ledger import InstanceState
from radnode.storage.tables import Base
from support.rows import FORMS, LEASE, NOW, PIPELINES, digest_of, named, result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from radnode.storage.catalog import SeriesSnapshot
    from radnode.storage.database import Database
    from radnode.storage.outbox import Delivery
    from radnode.storage.receptions import Reception, Recorded
    from radnode.storage.results import NewResultObject
    from radnode.storage.rewrites import Rewrite

DESTINATIONS = ("PACS", "VIEWER")
OTHER_FORMS = {"SEG": ("LABELMAP", "TID1500+LABELMAP"), "TID1500": ("COMPREHENSIVE",)}
IN_MEMORY = "sqlite:///file:histories?mode=memory&cache=shared&uri=true"


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What an administrator may edit. Every edit has another digest."""

    digest: str = "edit 0"
    pipelines: tuple[str, ...] = PIPELINES[:1]
    destinations: tuple[str, ...] = DESTINATIONS[:1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """What a job was inserted with; an edit must not change it."""

    configuration_digest: str
    destinations: tuple[str, ...]
    inputs: frozenset[int]


@dataclass(slots=True, kw_only=True)
class Run:
    """A job in somebody's hands. renewed: its holder lives and prolongs the lease."""

    job: LeasedJob
    renewed: bool = True


@dataclass(slots=True)
class Files:
    """Stands in for the file store where images expire."""

    digests: set[str] = field(default_factory=set)

    def remove(self, digest: str) -> None:
        """As :meth:`radnode.storage.files.FileStore.remove`."""
        self.digests.discard(digest)

    def note(self, _entries: object) -> None:
        """What was deleted is written down elsewhere; no history here loses its database."""

    def flush_notes(self) -> None:
        """As :meth:`note`."""


class World:
    """One node on one database, its peers and its clocks."""

    def __init__(self, database: Database) -> None:
        self.database = database
        _empty(database)
        self.wall = NOW
        self.monotonic_s = 0.0
        self.watch = ClockWatch(lambda: self.wall, lambda: self.monotonic_s, LONGEST_LEASE)
        self.life = 1
        self.configuration = Configuration()
        self.files = Files()
        self.acknowledged: set[tuple[str, str, str]] = set()
        self.arrivals = 0
        self.ordered: dict[int, Ordered] = {}
        self.runs: list[Run] = []
        self.effects: Counter[int] = Counter()
        self.given_back: Counter[int] = Counter()
        self.repeats = 0
        self.held = False
        self.sendings: list[Delivery] = []
        self.held_by: dict[str, dict[str, str]] = {name: {} for name in DESTINATIONS}
        self.snapshots: list[SeriesSnapshot] = []

    def receive(self, arriving: Sequence[Reception]) -> list[Recorded]:
        """The files first, then the rows, then Success."""
        self.files.digests.update(each.digest for each in arriving)
        with self.database.begin() as session:
            answers = receptions.record(session.connection(), arriving)
        for each, answer in zip(arriving, answers, strict=True):
            known = (each.series_instance_uid, each.sop_instance_uid, each.digest)
            assert answer.duplicate == (known in self.acknowledged)
            self.acknowledged.add(known)
        self.arrivals += len(arriving)
        return answers

    def read_headers(self, *, last_is_broken: bool = False) -> None:
        """Everything that was not read yet."""
        with self.database.begin() as session:
            waiting = catalog.unindexed(session, 100)
            broken = waiting[-1:] if last_is_broken else []
            catalog.store_headers(session, [(each.instance_id, {}) for each in waiting if each not in broken])
            for each in broken:
                catalog.reject_header(session, each.instance_id, "not DICOM", self.wall)

    def judge(self, series: SeriesSnapshot, *, hold: bool) -> bool:
        """As `SeriesCloser` does; False when the series is not any more what it was when it was looked at."""
        with self.database.begin() as session:
            headers = catalog.headers(session, series.series_id)
            said: dict[str, Any] = {"grounds": [], "now": self.wall}
            if series.study_conflict or any(each.state == InstanceState.CONFLICT for each in headers):
                return catalog.conflict_series(session, series, reason="contradiction", **said)
            if hold:
                return catalog.hold_series(session, series, reason="a slice is missing", **said)
            if not catalog.close_series(session, series, **said):
                return False
            catalog.store_routing(
                session, series, explanations=[], configuration_digest=self.configuration.digest, now=self.wall
            )
            for job in self._jobs(series, headers):
                job_id = jobs.insert_job(session, job, self.wall)
                if job_id is not None:
                    self.ordered[job_id] = Ordered(
                        configuration_digest=job.configuration_digest, destinations=tuple(job.destinations),
                        inputs=frozenset(job.instance_ids),
                    )
            if not self.configuration.pipelines:
                ids = [each.instance_id for each in headers]
                ledger.move(session, ids, InstanceState.NOT_ROUTED, reason="no route matched", now=self.wall)
        return True

    def lease(self, worker: int) -> Run | None:
        """The next job for a worker of this life."""
        with self.database.begin() as session:
            job = jobs.lease_next(session, f"life {self.life}:{worker}", self.wall, LEASE, PIPELINES)
        if job is None:
            return None
        self.runs.append(Run(job=job))
        return self.runs[-1]

    def end(self, job: LeasedJob, how: str) -> None:
        """What a worker does with a job it believes to hold. Raises `LeaseLost`."""
        with self.database.begin() as session:
            if how == "heartbeat":
                jobs.heartbeat(session, job.job_id, job.token, self.wall, LEASE)
                return
            if how == "produce":
                jobs.produced(
                    session, job.job_id, job.token, objects=objects_of(job), report={"state": "FINDINGS"},
                    destinations=dict.fromkeys(job.destinations, FORMS), now=self.wall,
                    findings_digest=digest_of(job.key),
                )
            elif how == "refuse":
                jobs.not_processed(session, job.job_id, job.token, "no lung", {}, self.wall)
            elif how == "fail":
                jobs.failed(session, job.job_id, job.token, "out of memory", {}, self.wall)
            elif jobs.crashed(session, job.job_id, job.token, "signal 9", self.wall) is jobs.JobState.WAITING:
                return
        self.effects[job.job_id] += 1

    def pass_time(self, seconds: float) -> None:
        """Both clocks go on, and whoever lives prolongs his leases."""
        self.wall += timedelta(seconds=seconds)
        self.monotonic_s += seconds
        for run in self.runs:
            if run.renewed:
                try:
                    self.end(run.job, "heartbeat")
                except jobs.LeaseLost:
                    run.renewed = False

    def reap(self) -> list[int]:
        """As `Upkeep` does."""
        now = self.watch.look()
        if now is None:
            return []
        with self.database.begin() as session:
            outbox.reap(session, now)
            return jobs.reap(session, now)

    def restart(self) -> None:
        """The process dies; what it held comes back under its old tokens, if anything does."""
        self.life += 1
        for run in self.runs:
            run.renewed = False
        with self.database.begin() as session:
            self.given_back.update(jobs.give_back(session, self.wall, f"life {self.life}"))
            outbox.give_back(session, self.wall)

    def hold(self, *, held: bool) -> None:
        """Somebody holds the first study, or lets it go."""
        order = by_hand.hold if held else by_hand.let_go
        with contextlib.suppress(by_hand.NotPossible), self.database.begin() as session:
            order(session, 1, by="anna", reason="", now=self.wall)
        self.held = held

    def discard(self, job_id: int) -> None:
        """Somebody says that a job is not to be run."""
        with contextlib.suppress(jobs.LeaseLost), self.database.begin() as session:
            jobs.discard(session, job_id, by="anna", reason="", now=self.wall)

    def run_again(self) -> None:
        """Somebody wants the first study to be read once more."""
        with contextlib.suppress(by_hand.NotPossible), self.database.begin() as session:
            by_hand.run_again(session, 1, by="anna", reason="", now=self.wall)
            self.repeats += 1

    def decide(self, series_id: int, *, read: bool) -> None:
        """Somebody decides about an incomplete series."""
        order = by_hand.close_as_it_is if read else by_hand.discard_series
        with contextlib.suppress(by_hand.NotPossible), self.database.begin() as session:
            order(session, 1, series_id, by="anna", reason="", now=self.wall)

    def send(self, destination: str, *, arrives: bool) -> Delivery | None:
        """The next object goes out; the answer is another matter."""
        with self.database.begin() as session:
            delivery = outbox.lease_due(session, destination, self.wall, LEASE)
        if delivery is not None:
            self.sendings.append(delivery)
            if arrives:
                held = self.held_by[destination].setdefault(delivery.sop_instance_uid, delivery.digest)
                assert held == delivery.digest, "the same UID always brings the same bytes"
        return delivery

    def answer(self, delivery: Delivery, how: str) -> None:
        """What the sender makes of the answer to one object. Raises `DeliveryLost`."""
        with self.database.begin() as session:
            if how == "sent":
                assert delivery.sop_instance_uid in self.held_by[delivery.destination]
                outbox.sent(session, delivery, 0x0000, self.wall)
            elif how == "form" and delivery.form in OTHER_FORMS:
                self._replace(session, delivery)
            elif how == "transient":
                outbox.retry(session, delivery, "status 0xA700", self.wall + timedelta(seconds=5))
            else:
                outbox.dead(session, delivery, "status 0xC000", self.wall)

    def rewrite(self, how: str) -> None:
        """The next result to be written in another form is, or is not."""
        with self.database.begin() as session:
            if (rewrite := rewrites.next_rewrite(session)) is None:
                return
            if how == "written":
                rewrites.rewritten(session, rewrite, rewritten_objects(rewrite), self.wall)
            else:
                rewrites.not_rewritten(session, rewrite, "signal 9", self.wall, again=how == "lost")

    def _replace(self, session: Session, delivery: Delivery) -> None:
        """As `Fallback` does."""
        names = OTHER_FORMS[delivery.form]
        try:
            rewrites.replace(
                session, delivery, names, instead=names[0], status=0x0122, reason="no such class", now=self.wall
            )
        except rewrites.NotReplaceable:
            outbox.dead(session, delivery, "no such class", self.wall)

    def look_for(self, destination: str, *, lost: bool, late: bool) -> None:
        """Ask a destination for what it answered Success to. lost: it forgets the first of them before.

        late: what is not there is given up, else sent again.
        """
        with self.database.read() as session:
            asked = confirmations.unconfirmed(session, self.wall, destination, 10)
        for number, delivery in enumerate(asked):
            if lost and not number:
                self.held_by[destination].pop(delivery.sop_instance_uid, None)
            with self.database.begin() as session:
                if delivery.sop_instance_uid in self.held_by[destination]:
                    outbox.confirmed(session, delivery, self.wall, "C-FIND")
                elif late:
                    outbox.dead(session, delivery, "not listed", self.wall, was=outbox.DeliveryState.SENT)
                else:
                    outbox.not_found(session, delivery, "not listed", self.wall)

    def resend(self) -> None:
        """By hand, all that is dead."""
        with self.database.begin() as session:
            outbox.resend(session, outbox.dead_deliveries(session), self.wall)

    def expire(self, older_than: timedelta) -> int:
        """Delete old images that nothing waits for."""
        before: datetime = self.wall - older_than
        return retention.expire(self.database, self.files, before, self.wall, 100)  # type: ignore[arg-type]

    def _jobs(self, series: SeriesSnapshot, headers: Sequence[catalog.InstanceHeader]) -> list[NewJob]:
        inputs = sorted((each.sop_instance_uid, each.digest) for each in headers)
        return [
            NewJob(
                key=sha256(repr((series.series_instance_uid, inputs, pipeline, self.repeats)).encode()).hexdigest(),
                study_id=series.study_id, series_id=series.series_id, revision=series.revision, pipeline=pipeline,
                pipeline_version="1.0", route_names=["route"], destinations=list(self.configuration.destinations),
                priority=10, configuration_digest=self.configuration.digest, input_digest=digest_of(repr(inputs)),
                instance_ids=[each.instance_id for each in headers],
            )
            for pipeline in self.configuration.pipelines
            if headers
        ]  # fmt: skip


def objects_of(job: LeasedJob) -> list[NewResultObject]:
    """A segmentation and the report on it. The UIDs are the job's, the bytes those of this run."""
    uids = [f"1.9.{int(job.key[:12], 16)}.{order}" for order in range(2)]
    made = [result(uids[0], 0), result(uids[1], 1, references=uids[:1])]
    return [replace(each, digest=digest_of(f"{each.sop_instance_uid} {job.token}")) for each in made]


def rewritten_objects(rewrite: Rewrite) -> list[NewResultObject]:
    """What is written instead; the report refers to what comes before it."""
    made = [named(name, rewrite.job_id) for name in rewrite.names]
    return [made[0], *(replace(each, references=[made[0].sop_instance_uid]) for each in made[1:])]


def _empty(database: Database) -> None:
    with database.begin() as session:
        connection: Any = session.connection().connection.driver_connection
        for statement in _DELETE_ALL:
            connection.execute(statement)


# Written once: there are a hundred, for each of many thousand histories.
_DELETE_ALL = [f"DELETE FROM {table.name}" for table in reversed(Base.metadata.sorted_tables)]  # noqa: S608 - our own tables
