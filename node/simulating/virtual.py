"""A day in virtual time: series are judged by :mod:`~radnode.node.completion`, jobs wait in the tables and are leased
by :mod:`radnode.storage.jobs`, as in a node. Only the clock, the receiver's speed and the time of a job are pretended.

One image stands for each series in the tables: what is leased next does not depend on how many there are.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import math
import random
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, event, insert
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from radnode.node.closing import PRIORITIES
from radnode.node.completion import TIME_FOR_COUNT, Policy, SeriesEvidence, judge
from radnode.node.delivery import backoff
from radnode.node.execution.dispatcher import LEASE
from radnode.node.series_geometry import NOTHING, Geometry
from radnode.node.simulating.coming_in import ComingIn
from radnode.node.simulating.load import JobTime
from radnode.storage import jobs, priors
from radnode.storage.jobs import NewJob
from radnode.storage.ledger import InstanceState
from radnode.storage.tables import Base, InstanceRow, SeriesRow, StudyRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Connection

    from radnode.node.simulating.day import Exam
    from radnode.node.simulating.load import Load, Priority

MIDNIGHT = datetime(2026, 1, 5, tzinfo=UTC)
_NORMAL_95 = 1.6448536269514722
_WANTED = priors.Wanted(
    study_instance_uid="", study_date=date(2026, 1, 5), patient=priors.Patient(patient_id="", issuer="", birth_date=""),
    modality="", body_part="", studies=1, days=1, wait_s=0.0,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One job, in seconds since the first midnight. ready_s: when it waits for nothing but a worker."""

    exam: int
    pipeline: str
    priority: Priority
    worker: int
    acknowledged_s: float
    ready_s: float
    leased_s: float
    ended_s: float
    delivered_s: float

    @property
    def waited_s(self) -> float:
        """For a worker."""
        return self.leased_s - self.ready_s

    @property
    def turnaround_s(self) -> float:
        """From the last image to the result."""
        return self.delivered_s - self.acknowledged_s


@dataclass(slots=True)
class _Waiting:
    exam: Exam
    pipeline: str
    acknowledged_s: float
    ready_s: float
    token: int = 0
    worker: int = 0
    leased_s: float = 0.0


@dataclass(slots=True)
class VirtualNode:
    """Runs exams through; `reads` is what became of them. seed: of the times of jobs."""

    load: Load
    seed: int
    reads: list[Read] = field(default_factory=list)
    _events: list[tuple[float, int, Callable[[float], None]]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _jobs: dict[int, _Waiting] = field(default_factory=dict)
    _series: dict[int, int] = field(default_factory=dict)
    _free: list[int] = field(default_factory=list)
    _receiver_free_s: float = 0.0

    def run(self, exams: Sequence[Exam]) -> list[Read]:
        """All jobs of these exams, in the order in which they ended."""
        engine = create_engine("sqlite://", poolclass=StaticPool)
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))
        Base.metadata.create_all(engine)
        self._free = list(range(self.load.workers))
        self._pipelines = {pipeline for exam in exams for pipeline in exam.pipelines}
        self._coming_in = ComingIn.of(_span(self.load, exam) for exam in exams)
        with engine.connect() as connection:
            self._connection = connection
            for exam in exams:
                self._at(_present(self.load, exam.begins_s), partial(self._sent, exam))
            while self._events:
                now, _, happens = heapq.heappop(self._events)
                happens(now)
        engine.dispose()
        return self.reads

    _connection: Connection = field(init=False)
    _pipelines: set[str] = field(init=False)
    _coming_in: ComingIn = field(init=False)

    def _at(self, when: float, happens: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (when, next(self._numbers), happens))

    @contextlib.contextmanager
    def _session(self) -> Iterator[Session]:
        with Session(self._connection) as session, session.begin():
            yield session

    def _sent(self, exam: Exam, now: float) -> None:
        """The images come in; the receiver shares its speed among all who send."""
        self._receiver_free_s = max(self._receiver_free_s, now) + exam.images / self.load.receiver_images_s
        acknowledged = max(now + exam.images / self.load.sender_images_s, self._receiver_free_s)
        if exam.sent_again_s:
            self._at(_present(self.load, acknowledged + exam.sent_again_s), lambda at: self._sent_again(exam, at))
        if not exam.pipelines:
            return
        whole = acknowledged + silence_of(self.load, exam)
        late = acknowledged + exam.late_s
        # A count waits for what is late; without one it may come after the series was judged whole.
        if exam.late_s and (exam.evidence == "count" or late <= whole):
            acknowledged, whole = late, late + silence_of(self.load, exam)
        self._at(whole + self.load.around_s / 2, lambda at: self._whole(exam, 1, acknowledged, at))
        if exam.late_s and late > whole:
            again = late + silence_of(self.load, exam) + self.load.around_s / 2
            self._at(again, lambda at: self._whole(exam, 2, late, at))

    def _sent_again(self, exam: Exam, now: float) -> None:
        """Known images: the receiver is busy with them, and nothing is read again."""
        self._receiver_free_s = max(self._receiver_free_s, now) + exam.images / self.load.receiver_images_s

    def _whole(self, exam: Exam, revision: int, acknowledged: float, now: float) -> None:
        with self._session() as session:
            instance = self._recorded(session, exam, now)
            for pipeline in exam.pipelines:
                job_id = jobs.insert_job(session, NewJob(
                    key=f"{exam.number}/{pipeline}/{revision}", study_id=exam.number + 1, series_id=exam.number + 1,
                    revision=revision, pipeline=pipeline, pipeline_version="", route_names=(), destinations=(),
                    priority=PRIORITIES[exam.priority], configuration_digest="", input_digest=str(revision),
                    instance_ids=(instance,),
                ), _time(now))
                if job_id is None:
                    raise AssertionError("a job was inserted twice")
                self._jobs[job_id] = _Waiting(exam, pipeline, acknowledged, now)
                if exam.priors_s:
                    self._wait_for_priors(session, job_id, exam, now)
        self._lease(now)

    def _wait_for_priors(self, session: Session, job_id: int, exam: Exam, now: float) -> None:
        priors.ask(session, job_id, "", _wanted(self.load.priors_wait_s), _time(now))
        came = now + min(exam.priors_s, self.load.priors_wait_s)
        self._at(came, lambda at: self._priors_came(job_id, at))

    def _priors_came(self, job_id: int, now: float) -> None:
        with self._session() as session:
            priors.settle(session, job_id, (), (), _time(now))
        self._jobs[job_id].ready_s = now
        self._lease(now)

    def _recorded(self, session: Session, exam: Exam, now: float) -> int:
        number, at = exam.number + 1, _time(now)
        if number in self._series:
            return number
        self._series[number] = number
        uid = str(number)
        session.execute(insert(StudyRow).values(
            id=number, study_instance_uid=uid, patient_id="", first_received_at=at, last_received_at=at))
        session.execute(insert(SeriesRow).values(
            id=number, study_id=number, series_instance_uid=uid, source="", state="CLOSED", revision=1, received=1,
            grounds=[], first_received_at=at, last_received_at=at))
        session.execute(insert(InstanceRow).values(
            id=number, series_id=number, sop_instance_uid=uid, sop_class_uid="", transfer_syntax_uid="", digest="",
            size_bytes=0, source="", association="", received_at=at, state=InstanceState.RECEIVED, indexed=True))
        return number

    def _lease(self, now: float) -> None:
        """Every free worker takes what is most urgent, as `Dispatcher.run_next` does."""
        while self._free:
            with self._session() as session:
                job = jobs.lease_next(session, "simulated", _time(now), LEASE, self._pipelines)
            if job is None:
                return
            waiting = self._jobs[job.job_id]
            waiting.token, waiting.worker, waiting.leased_s = job.token, self._free.pop(), now
            throw = f"{self.seed}/{job.key}"
            ends = now + seconds_of(self.load, waiting.pipeline, throw, receiving=self._coming_in.at(now))
            self._at(ends, partial(self._ended, job.job_id))

    def _ended(self, job_id: int, now: float) -> None:
        waiting = self._jobs.pop(job_id)
        with self._session() as session:
            jobs.produced(session, job_id, waiting.token, objects=(), destinations={}, report={}, now=_time(now))
        self._free.append(waiting.worker)
        self.reads.append(Read(
            exam=waiting.exam.number, pipeline=waiting.pipeline, priority=waiting.exam.priority, worker=waiting.worker,
            acknowledged_s=waiting.acknowledged_s, ready_s=waiting.ready_s, leased_s=waiting.leased_s, ended_s=now,
            delivered_s=_delivered(self.load, now + self.load.around_s / 2),
        ))
        self._lease(now)


def silence_of(load: Load, exam: Exam) -> float:
    """Seconds of silence after which such a series is judged whole, by the node's own judgement."""
    policy = Policy(quiet=timedelta(seconds=load.quiet_time_s), settle=timedelta(seconds=load.settle_time_s),
                    hold_after=timedelta(seconds=load.hold_after_s))
    stack = Geometry(slices=exam.read, regular=True, gaps=(), duplicates=0, numbers_contiguous=True)
    evidence = SeriesEvidence(
        received=exam.read, unindexed=0, unreadable=0, associations_open=0, associations_seen=1, expected_by_tags=None,
        queried_count=exam.read if exam.evidence == "count" else None, find_available=exam.evidence == "count",
        geometry=stack if exam.evidence == "geometry" else NOTHING,
    )
    silence = timedelta(0)
    while (verdict := judge(evidence, policy, silence)).decision == "wait":
        silence += verdict.look_again_in or TIME_FOR_COUNT
    return silence.total_seconds()


def seconds_of(load: Load, pipeline: str, throw: str, *, receiving: bool) -> float:
    """The time of one job; the same throw gives the same. receiving: whether images come in when it begins."""
    dice = random.Random(throw)  # noqa: S311 - a day is to come again the same
    time = load.job_seconds.get(pipeline) or JobTime()
    if samples := time.measured(receiving=receiving):
        return dice.choice(samples)
    sigma = math.log(time.p95 / time.median) / _NORMAL_95
    return dice.lognormvariate(math.log(time.median), sigma)


def _span(load: Load, exam: Exam) -> tuple[float, float]:
    """When its first and its last image come, if the receiver has time for them."""
    begins = _present(load, exam.begins_s)
    return begins, begins + exam.images / load.sender_images_s


def _time(seconds: float) -> datetime:
    return MIDNIGHT + timedelta(seconds=seconds)


def _wanted(wait_s: float) -> priors.Wanted:
    return replace(_WANTED, wait_s=wait_s)


def _present(load: Load, when: float) -> float:
    """When the archive is there for what would happen at this time."""
    for outage in load.outages:
        begin = outage.at_hour * 3600
        if begin <= when < begin + outage.minutes * 60:
            return begin + outage.minutes * 60
    return when


def _delivered(load: Load, ready: float) -> float:
    """When the results are at the archive; attempts in vain are repeated after the node's own waits."""
    attempts, when = 0, ready
    while _present(load, when) > when:
        attempts += 1
        when += backoff.next_wait(attempts, 0.5).total_seconds()
    return when + load.send_s
