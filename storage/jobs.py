"""Jobs: inserted once for each key, leased with a fencing token, ended by whoever holds the lease.

    WAITING ──lease──▶ RUNNING ──▶ PRODUCED ──(a later revision has its answer)──▶ SUPERSEDED
       ▲                  │ ├────▶ NOT_PROCESSED                                      ▲
       └──lease ended─────┘ └────▶ FAILED                          WAITING ───────────┘
    WAITING, RUNNING ──somebody says so──▶ DISCARDED

Every transition is an UPDATE on the old state and the token, so that a worker whose lease has ended changes nothing.
Whoever ends a job locks its series first: two jobs that end at the same moment see each other.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import exists, func, insert, select, update
from sqlalchemy.orm import aliased

from radnode.storage import ledger, priors, results
from radnode.storage.catalog import add_event, affected, lock_series_of
from radnode.storage.dialects import insert_for
from radnode.storage.ledger import InstanceState
from radnode.storage.monitoring_tables import UnobservedRow
from radnode.storage.study_tables import StudyHoldRow
from radnode.storage.tables import (
    DeliveryRow,
    InstanceRow,
    JobInputRow,
    JobRow,
    SeriesRow,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Select
    from sqlalchemy.orm import Session

    from radnode.storage.results import NewResultObject

MOST_CRASHES = 2
"""A second worker lost on the same inputs is no accident: such a job must not take the node's workers down for ever."""

MOST_ATTEMPTS = 12
"""So often a job may go down with a machine before that counts as its own fault."""

PRIORITY_STEP = timedelta(minutes=1)
"""What one step of priority is worth in waiting."""


class LeaseLost(Exception):
    """The lease ended and the job may be somebody else's: drop the result."""


class JobState(StrEnum):
    """Where a job is."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    PRODUCED = "PRODUCED"
    NOT_PROCESSED = "NOT_PROCESSED"
    FAILED = "FAILED"
    SUPERSEDED = "SUPERSEDED"
    DISCARDED = "DISCARDED"


ALLOWED: Mapping[JobState, frozenset[JobState]] = {
    JobState.WAITING: frozenset({JobState.RUNNING, JobState.SUPERSEDED, JobState.DISCARDED}),
    JobState.RUNNING: frozenset(
        {JobState.WAITING, JobState.PRODUCED, JobState.NOT_PROCESSED, JobState.FAILED, JobState.DISCARDED}
    ),
    JobState.PRODUCED: frozenset({JobState.SUPERSEDED}),
    JobState.NOT_PROCESSED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.SUPERSEDED: frozenset(),
    JobState.DISCARDED: frozenset(),
}

OBSERVED = frozenset({JobState.PRODUCED, JobState.NOT_PROCESSED, JobState.FAILED})
"""Ends that go into the figures of the day (:mod:`radnode.storage.figures`)."""

# How an ended job leaves its instances. Of several jobs over one instance the worst answer is the one to show: a
# person has to look at it, and would not at PROCESSED.
_OUTCOMES = {
    JobState.FAILED: InstanceState.FAILED,
    JobState.NOT_PROCESSED: InstanceState.NOT_PROCESSED,
    JobState.PRODUCED: InstanceState.PROCESSED,
    JobState.SUPERSEDED: InstanceState.PROCESSED,
    JobState.DISCARDED: InstanceState.NOT_PROCESSED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job to insert. priority: smaller is sooner. within: when its result is late, counted from now; None: never.

    shadow: what it makes is kept and goes to nobody.
    """

    key: str
    study_id: int
    series_id: int
    revision: int
    pipeline: str
    pipeline_version: str
    route_names: Sequence[str]
    destinations: Sequence[str]
    priority: int
    configuration_digest: str
    input_digest: str
    instance_ids: Sequence[int]
    within: timedelta | None = None
    shadow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JobInput:
    """One instance of the frozen input."""

    sop_instance_uid: str
    series_instance_uid: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasedJob:
    """A job in the hands of one worker for a time; `token` proves it."""

    job_id: int
    key: str
    token: int
    pipeline: str
    pipeline_version: str
    revision: int
    attempts: int
    destinations: tuple[str, ...]
    inputs: tuple[JobInput, ...]
    input_digest: str
    configuration_digest: str
    report: Mapping[str, Any]
    findings_digest: str | None


def insert_job(session: Session, job: NewJob, now: datetime) -> int | None:
    """Insert a job and take its instances; None when the key is known, and then nothing changes."""
    turn = job.priority * PRIORITY_STEP
    job_id = session.scalar(
        insert_for(session, JobRow)
        .values(
            key=job.key,
            study_id=job.study_id,
            series_id=job.series_id,
            revision=job.revision,
            pipeline=job.pipeline,
            pipeline_version=job.pipeline_version,
            route_names=list(job.route_names),
            destinations=list(job.destinations),
            priority=job.priority,
            turn_at=now + (turn if job.within is None else min(turn, job.within)),
            due_at=None if job.within is None else now + job.within,
            configuration_digest=job.configuration_digest,
            input_digest=job.input_digest,
            state=JobState.WAITING,
            report={},
            shadow=job.shadow,
            created_at=now,
        )
        .on_conflict_do_nothing(index_elements=["key"])
        .returning(JobRow.id)
    )
    if job_id is None:
        return None
    session.execute(
        insert(JobInputRow), [{"job_id": job_id, "instance_id": each} for each in job.instance_ids]
    )
    ledger.move(session, job.instance_ids, InstanceState.IN_JOB, reason=f"job {job_id}", now=now)
    detail = {"pipeline": job.pipeline, "routes": list(job.route_names), **({"shadow": True} if job.shadow else {})}
    _event(session, job_id, "job inserted", detail, now)
    return int(job_id)


def lease_next(
    session: Session, worker: str, now: datetime, duration: timedelta, pipelines: Collection[str]
) -> LeasedJob | None:
    """The most urgent waiting job, leased. A minute of waiting weighs as much as one step of priority."""
    chosen = session.scalar(_most_urgent(pipelines, now).with_for_update(skip_locked=True))
    if chosen is None:
        return None
    waiting = _as_leased(session, chosen)
    leased = replace(waiting, token=waiting.token + 1, attempts=waiting.attempts + 1)
    _move(
        session, leased.job_id, waiting.token, JobState.WAITING, JobState.RUNNING,
        token=leased.token, worker=worker, lease_until=now + duration, started_at=now, attempts=leased.attempts,
    )
    _event(session, leased.job_id, "job leased", {"token": leased.token}, now)
    return leased


def next_waiting(
    session: Session, pipelines: Collection[str], now: datetime, *, besides: Collection[int] = ()
) -> LeasedJob | None:
    """The job that :func:`lease_next` would choose now, left as it is. besides: ids of jobs that do not count."""
    chosen = session.scalar(_most_urgent(pipelines, now).where(JobRow.id.not_in(besides)))
    return None if chosen is None else _as_leased(session, chosen)


def _most_urgent(pipelines: Collection[str], now: datetime) -> Select[JobRow]:
    """A job that waits for its priors is not one to be run yet, nor is one of a study that somebody holds."""
    held = exists().where(StudyHoldRow.study_id == JobRow.study_id)
    return (
        select(JobRow)
        .where(JobRow.state == JobState.WAITING, JobRow.pipeline.in_(pipelines), ~priors.waited_for(now), ~held)
        .order_by(JobRow.turn_at, JobRow.id)
        .limit(1)
        .execution_options(populate_existing=True)
    )


def heartbeat(session: Session, job_id: int, token: int, now: datetime, duration: timedelta) -> None:
    """Prolong a lease. Raises :class:`LeaseLost`."""
    _move(session, job_id, token, JobState.RUNNING, JobState.RUNNING, lease_until=now + duration)


def produced(
    session: Session,
    job_id: int,
    token: int,
    *,
    objects: Iterable[NewResultObject],
    destinations: Mapping[str, Collection[str]],
    report: dict[str, Any],
    now: datetime,
    findings_digest: str | None = None,
) -> None:
    """End a job with its result objects, and queue each for the destinations that get it.

    destinations: name -> names of the objects it gets. findings_digest: the kept file of what was found. Raises
    :class:`LeaseLost`.
    """
    lock_series_of(session, job_id)
    _move(session, job_id, token, JobState.RUNNING, JobState.PRODUCED,
          report=report, findings_digest=findings_digest, ended_at=now, lease_until=None)
    results.record(session, job_id, objects, destinations, now)
    _event(session, job_id, "job produced", {"state": report.get("state")}, now)
    _supersede(session, job_id, now)
    _release(session, job_id, now)


def not_processed(
    session: Session, job_id: int, token: int, reason: str, report: dict[str, Any], now: datetime, *,
    objects: Iterable[NewResultObject] = (), destinations: Mapping[str, Collection[str]] | None = None,
) -> None:
    """End a job with a stated refusal, and with the objects that say so. Raises :class:`LeaseLost`."""
    lock_series_of(session, job_id)
    _move(session, job_id, token, JobState.RUNNING, JobState.NOT_PROCESSED,
          reason=reason, report=report, ended_at=now, lease_until=None)
    results.record(session, job_id, objects, destinations or {}, now)
    _event(session, job_id, "job not processed", {"reason": reason}, now)
    _supersede(session, job_id, now)
    _release(session, job_id, now)


def failed(
    session: Session, job_id: int, token: int, reason: str, report: dict[str, Any], now: datetime, *,
    objects: Iterable[NewResultObject] = (), destinations: Mapping[str, Collection[str]] | None = None,
) -> None:
    """End a job that broke, with the objects that say so. Raises :class:`LeaseLost`."""
    lock_series_of(session, job_id)
    _move(session, job_id, token, JobState.RUNNING, JobState.FAILED,
          reason=reason, report=report, ended_at=now, lease_until=None)
    results.record(session, job_id, objects, destinations or {}, now)
    _event(session, job_id, "job failed", {"reason": reason}, now)
    _release(session, job_id, now)


def discard(session: Session, job_id: int, *, by: str, reason: str, now: datetime) -> JobState:
    """End a job that waits or runs, without an answer; the state it was in. What a worker still brings is dropped.

    An answer of an earlier revision stays in force. Raises :class:`LeaseLost` where it does neither any more.
    """
    lock_series_of(session, job_id)
    row = session.execute(select(JobRow.state, JobRow.token).where(JobRow.id == job_id)).one()
    was = JobState(row.state)
    if JobState.DISCARDED not in ALLOWED[was]:
        raise LeaseLost(f"job {job_id} is {was}: it neither waits nor runs")
    _move(session, job_id, row.token, was, JobState.DISCARDED, reason=f"discarded by {by}: {reason}", ended_at=now,
          lease_until=None)
    _event(session, job_id, "job discarded", {"by": by, "reason": reason, "was": was}, now)
    _release(session, job_id, now)
    return was


def withdraw(
    session: Session, study_id: int, sop_instance_uids: Iterable[str], reason: str, now: datetime
) -> list[int]:
    """Jobs of a study over any of these images have no answer any more, also those that run; returns their ids.

    What waits is not sent, what a worker still brings is dropped (its token is old), and what was sent keeps its state
    and says why it no longer holds.
    """
    rejected = set(sop_instance_uids)
    rows = session.execute(
        select(JobRow.id, InstanceRow.sop_instance_uid)
        .join(JobInputRow, JobInputRow.job_id == JobRow.id)
        .join(InstanceRow, InstanceRow.id == JobInputRow.instance_id)
        .where(
            JobRow.study_id == study_id,
            JobRow.state.in_((JobState.WAITING, JobState.RUNNING, JobState.PRODUCED)),
        )
    )
    concerned = {job_id for job_id, sop_instance_uid in rows if sop_instance_uid in rejected}
    for job_id in sorted(concerned):
        lock_series_of(session, job_id)
        session.execute(
            update(JobRow)
            .where(JobRow.id == job_id)
            .values(state=JobState.SUPERSEDED, reason=reason, token=JobRow.token + 1, lease_until=None,
                    ended_at=func.coalesce(JobRow.ended_at, now))
        )
        for old, new in (("WAITING", "WITHDRAWN"), ("SENT", "SENT"), ("CONFIRMED", "CONFIRMED")):
            session.execute(
                update(DeliveryRow).where(DeliveryRow.job_id == job_id, DeliveryRow.state == old)
                .values(state=new, reason=reason)
            )
        _event(session, job_id, "results withdrawn", {"reason": reason}, now)
        _release(session, job_id, now)
    return sorted(concerned)


def crashed(
    session: Session, job_id: int, token: int, reason: str, now: datetime, *, blameless: bool = False
) -> JobState:
    """The worker was lost: the job waits again, or fails when it was not the first. Raises :class:`LeaseLost`.

    blameless: its machine was lost, which is no fault of the job unless it happens every time.
    """
    lock_series_of(session, job_id)
    before = session.execute(select(JobRow.crashes, JobRow.attempts).where(JobRow.id == job_id)).one()
    crashes = before.crashes + (not blameless or before.attempts >= MOST_ATTEMPTS)
    if crashes >= MOST_CRASHES:
        to, ended_at = JobState.FAILED, now
        reason = f"{crashes} workers were lost on these inputs, the last: {reason}"
    else:
        to, ended_at = JobState.WAITING, None
    _move(session, job_id, token, JobState.RUNNING, to,
          reason=reason, crashes=crashes, ended_at=ended_at, lease_until=None)
    _event(session, job_id, "worker lost", {"reason": reason}, now)
    if to is JobState.FAILED:
        _release(session, job_id, now)
    return to


def give_back(session: Session, now: datetime, worker_prefix_not: str) -> list[int]:
    """Jobs of workers that belong to an earlier process of this node wait again; returns their ids.

    Only for a process that alone holds the data folder. Its own death was no fault of the job, so no crash is counted.
    """
    rows = session.execute(
        select(JobRow.id, JobRow.token).where(
            JobRow.state == JobState.RUNNING, JobRow.worker.not_like(f"{worker_prefix_not}%")
        )
    ).all()
    for row in rows:
        _move(session, row.id, row.token, JobState.RUNNING, JobState.WAITING,
              reason="the node was restarted", lease_until=None)
        _event(session, row.id, "job given back", {}, now)
    return [row.id for row in rows]


def reap(session: Session, now: datetime) -> list[int]:
    """Treat jobs whose lease has ended as crashed; returns their ids."""
    rows = session.execute(
        select(JobRow.id, JobRow.token).where(JobRow.state == JobState.RUNNING, JobRow.lease_until < now)
    ).all()
    reaped = []
    for row in rows:
        with contextlib.suppress(LeaseLost):  # it ended between the two statements
            crashed(session, row.id, row.token, "the lease ended without a result", now)
            reaped.append(row.id)
    return reaped


def _move(session: Session, job_id: int, expected_token: int, old: JobState, new: JobState, **values: Any) -> None:
    if new is not old and new not in ALLOWED[old]:
        raise ValueError(f"job {job_id}: {old} never becomes {new}")
    changed = affected(
        session,
        update(JobRow)
        .where(JobRow.id == job_id, JobRow.state == old, JobRow.token == expected_token)
        .values(state=new, **values),
    )
    if changed != 1:
        raise LeaseLost(f"job {job_id} is not {old} under token {expected_token}")
    if new in OBSERVED:
        session.execute(insert_for(session, UnobservedRow).values(job_id=job_id).on_conflict_do_nothing())


def get(session: Session, job_id: int) -> LeasedJob:
    """A job as it would be leased, whatever its state."""
    return _as_leased(session, session.get_one(JobRow, job_id, populate_existing=True))


def _as_leased(session: Session, job: JobRow) -> LeasedJob:
    inputs = session.execute(
        select(InstanceRow.sop_instance_uid, SeriesRow.series_instance_uid, InstanceRow.digest)
        .join(JobInputRow, JobInputRow.instance_id == InstanceRow.id)
        .join(SeriesRow, SeriesRow.id == InstanceRow.series_id)
        .where(JobInputRow.job_id == job.id)
        .order_by(InstanceRow.id)
    )
    return LeasedJob(
        job_id=job.id,
        key=job.key,
        token=job.token,
        pipeline=job.pipeline,
        pipeline_version=job.pipeline_version,
        revision=job.revision,
        attempts=job.attempts,
        destinations=tuple(job.destinations),
        inputs=tuple(
            JobInput(sop_instance_uid=sop, series_instance_uid=series, digest=digest)
            for sop, series, digest in inputs
        ),
        input_digest=job.input_digest,
        configuration_digest=job.configuration_digest,
        report=job.report,
        findings_digest=job.findings_digest,
    )


def _supersede(session: Session, job_id: int, now: datetime) -> None:
    """The answer of the latest revision replaces earlier ones, this one too; what was not sent yet is withdrawn.

    What runs in shadow replaces only what ran in shadow, and the reverse.
    """
    job = session.get_one(JobRow, job_id, populate_existing=True)
    same_question = (JobRow.series_id == job.series_id, JobRow.pipeline == job.pipeline, JobRow.shadow == job.shadow)
    latest = session.scalar(
        select(func.max(JobRow.revision)).where(
            *same_question, JobRow.state.in_((JobState.PRODUCED, JobState.NOT_PROCESSED))
        )
    )
    reason = f"revision {latest} has its answer"
    older = list(
        session.scalars(
            update(JobRow)
            .where(*same_question, JobRow.revision < latest, JobRow.state.in_((JobState.PRODUCED, JobState.WAITING)))
            .values(state=JobState.SUPERSEDED, reason=reason, ended_at=func.coalesce(JobRow.ended_at, now))
            .returning(JobRow.id)
            .execution_options(synchronize_session=False)
        )
    )
    if not older:
        return
    session.execute(
        update(DeliveryRow)
        .where(DeliveryRow.job_id.in_(older), DeliveryRow.state == "WAITING")
        .values(state="WITHDRAWN", reason=reason)
    )
    for each in older:
        _event(session, each, "job superseded", {"by_revision": latest}, now)
        _release(session, each, now)


def _release(session: Session, job_id: int, now: datetime) -> None:
    """Give the instances of an ended job their state, once no other job holds them: the worst of what each pipeline
    said last. Revisions of different pipelines do not compare: some count those of a series, some those of a study.
    What ran in shadow counts only where nothing else ran: nobody gets its answer.
    """
    by_outcome: dict[InstanceState, list[int]] = {}
    for instance_id, over_it in _jobs_over_inputs(session, job_id).items():
        if any(state in (JobState.WAITING, JobState.RUNNING) for _, _, state, _ in over_it):
            continue
        answered = [each for each in over_it if not each[3]] or over_it
        answered = [each for each in answered if each[2] is not JobState.DISCARDED] or answered
        latest: dict[str, int] = {}
        for pipeline, revision, _, _ in answered:
            latest[pipeline] = max(revision, latest.get(pipeline, 0))
        answers = {state for pipeline, revision, state, _ in answered if revision == latest[pipeline]}
        worst = next(state for state in _OUTCOMES if state in answers)
        by_outcome.setdefault(_OUTCOMES[worst], []).append(instance_id)
    for outcome, ids in by_outcome.items():
        ledger.move(session, ids, outcome, reason=f"job {job_id}", now=now)


def _jobs_over_inputs(session: Session, job_id: int) -> dict[int, list[tuple[str, int, JobState, bool]]]:
    """Instance id -> pipeline, revision, state and shadow of every job over it, for the inputs of one job."""
    own = aliased(JobInputRow)
    found: dict[int, list[tuple[str, int, JobState, bool]]] = {}
    for instance_id, pipeline, revision, state, shadow in session.execute(
        select(JobInputRow.instance_id, JobRow.pipeline, JobRow.revision, JobRow.state, JobRow.shadow)
        .join(JobRow, JobRow.id == JobInputRow.job_id)
        .join(own, own.instance_id == JobInputRow.instance_id)
        .where(own.job_id == job_id)
    ):
        found.setdefault(instance_id, []).append((pipeline, revision, JobState(state), shadow))
    return found


def _event(session: Session, job_id: int, kind: str, detail: dict[str, Any], now: datetime) -> None:
    add_event(session, kind, detail=detail, now=now, job_id=job_id)


