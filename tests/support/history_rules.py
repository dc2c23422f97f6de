"""What must hold after every step of a history, each said in a sentence and asked of the rows."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.dialects import sqlite

from radnode.storage import ledger
from radnode.storage.jobs import ALLOWED, MOST_CRASHES, JobState
from radnode.storage.tables import (
    DeliveryRow,
    InstanceRow,
    JobInputRow,
    JobRow,
    LedgerEvent,
    ResultObjectRow,
    RewriteRow,
    SeriesRow,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Select
    from sqlalchemy.orm import Session

    from support.histories import World

LIVE = (JobState.WAITING, JobState.RUNNING)
ANSWERED = (JobState.PRODUCED, JobState.NOT_PROCESSED)


class Instance(NamedTuple):
    """One row."""

    id: int
    sop_instance_uid: str
    digest: str
    state: str
    receptions: int
    series_instance_uid: str
    series_state: str


class Job(NamedTuple):
    """One row; destinations as JSON."""

    id: int
    key: str
    series_id: int
    pipeline: str
    revision: int
    state: str
    token: int
    attempts: int
    crashes: int
    destinations: str
    configuration_digest: str


class Sending(NamedTuple):
    """A delivery and its object; references as JSON."""

    id: int
    job_id: int
    destination: str
    state: str
    token: int
    sop_instance_uid: str
    digest: str
    references: str
    made_by: int


_INSTANCES = select(
    InstanceRow.id, InstanceRow.sop_instance_uid, InstanceRow.digest, InstanceRow.state, InstanceRow.receptions,
    SeriesRow.series_instance_uid, SeriesRow.state.label("series_state"),
).join(SeriesRow, SeriesRow.id == InstanceRow.series_id)  # fmt: skip
_JOBS = select(
    JobRow.id, JobRow.key, JobRow.series_id, JobRow.pipeline, JobRow.revision, JobRow.state, JobRow.token,
    JobRow.attempts, JobRow.crashes, JobRow.destinations, JobRow.configuration_digest,
).order_by(JobRow.id)  # fmt: skip
_DELIVERIES = select(
    DeliveryRow.id, DeliveryRow.job_id, DeliveryRow.destination, DeliveryRow.state, DeliveryRow.token,
    ResultObjectRow.sop_instance_uid, ResultObjectRow.digest, ResultObjectRow.references,
    ResultObjectRow.job_id.label("made_by"),
).join(ResultObjectRow, ResultObjectRow.id == DeliveryRow.result_object_id).order_by(DeliveryRow.id)  # fmt: skip
_INPUTS = select(JobInputRow.job_id, JobInputRow.instance_id)
_JOURNAL = select(LedgerEvent.instance_id, LedgerEvent.kind).where(
    LedgerEvent.id.in_(
        select(func.max(LedgerEvent.id)).where(LedgerEvent.kind != "received again").group_by(LedgerEvent.instance_id)
    )
)


def _written(statement: Select[Any]) -> str:
    return str(statement.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))


# Written once: they are asked a million times in a long run.
_WRITTEN = {
    each: _written(statement)
    for each, statement in (
        ("instances", _INSTANCES), ("jobs", _JOBS), ("deliveries", _DELIVERIES), ("inputs", _INPUTS),
        ("journal", _JOURNAL), ("rewrites", select(RewriteRow.job_id, RewriteRow.destination)),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """All rows that the rules speak of, at one instant."""

    instances: Sequence[Instance]
    jobs: Mapping[int, Job]
    inputs: Mapping[int, frozenset[int]]
    deliveries: Sequence[Sending]
    rewrites: frozenset[tuple[int, str]]
    journal: Mapping[int, str]
    balance: ledger.Balance


def look(session: Session) -> View:
    """Read them."""
    connection: Any = session.connection().connection.driver_connection

    def rows(name: str) -> list[tuple[Any, ...]]:
        return connection.execute(_WRITTEN[name]).fetchall()  # type: ignore[no-any-return]

    inputs: defaultdict[int, set[int]] = defaultdict(set)
    for job_id, instance_id in rows("inputs"):
        inputs[job_id].add(instance_id)
    return View(
        instances=[Instance._make(each) for each in rows("instances")],
        jobs={each[0]: Job._make(each) for each in rows("jobs")},
        inputs={job_id: frozenset(ids) for job_id, ids in inputs.items()},
        deliveries=[Sending._make(each) for each in rows("deliveries")],
        rewrites=frozenset((job_id, destination) for job_id, destination in rows("rewrites")),
        journal=dict(rows("journal")),
        balance=ledger.balance(session),
    )


def each_acknowledged_instance_has_exactly_one_state(view: View, world: World) -> None:
    """And the journal ends with that state: two accounts that are written separately."""
    assert view.balance.holds
    assert view.balance.receptions == sum(each.receptions for each in view.instances) == world.arrivals
    kept = Counter((each.series_instance_uid, each.sop_instance_uid, each.digest) for each in view.instances)
    assert kept == Counter(world.acknowledged)
    for each in view.instances:
        assert view.journal[each.id] == ("acknowledged" if each.state == "RECEIVED" else each.state)


def an_instance_is_in_a_job_as_long_as_a_job_over_it_lives(view: View, world: World) -> None:
    """And waits to be judged only as long as its series does. Its bytes are there until it expires."""
    in_jobs = {each for job in view.jobs.values() if job.state in LIVE for each in view.inputs[job.id]}
    assert {each.id for each in view.instances if each.state == "IN_JOB"} == in_jobs
    for each in view.instances:
        if each.state == "RECEIVED":
            assert each.series_state == "OPEN"
        if each.state == "INCOMPLETE":
            assert each.series_state in ("OPEN", "HELD")
        if each.state != "EXPIRED":
            assert each.digest in world.files.digests


def a_job_ends_once_and_its_tries_are_counted(view: View, world: World) -> None:
    """Only its death by its own fault counts against it, a restart of the node does not."""
    for job in view.jobs.values():
        ended = job.state not in LIVE
        effects = world.effects[job.id]
        assert effects <= 1
        assert ended or not effects
        assert job.crashes <= MOST_CRASHES
        assert job.attempts <= job.crashes + world.given_back[job.id] + 1
        assert job.attempts == job.token


def a_job_keeps_what_it_was_ordered_with(view: View, world: World) -> None:
    """However the configuration was edited since (C5)."""
    assert view.jobs.keys() == world.ordered.keys()
    for job_id, ordered in world.ordered.items():
        job = view.jobs[job_id]
        assert job.configuration_digest == ordered.configuration_digest
        assert tuple(json.loads(job.destinations)) == ordered.destinations
        assert view.inputs[job_id] == ordered.inputs


def a_question_has_one_current_answer(view: View, world: World) -> None:
    """That of the latest revision that was answered."""
    answers = defaultdict(list)
    for job in view.jobs.values():
        if job.state in ANSWERED:
            answers[job.series_id, job.pipeline].append(job)
    for found in answers.values():
        current = [job for job in found if job.state == JobState.PRODUCED]
        assert len(current) <= 1
        assert all(job.revision == max(each.revision for each in found) for job in current)


def nothing_is_sent_that_was_not_recorded(view: View, world: World) -> None:
    """Each object on its way belongs to an ended job, goes where that job was ordered to send, and is what is there."""
    for each in view.deliveries:
        assert each.made_by == each.job_id
        assert each.destination in world.ordered[each.job_id].destinations
        job = view.jobs[each.job_id]
        assert job.state not in LIVE
        if job.state == JobState.SUPERSEDED:
            assert each.state != "WAITING"
        if each.state == "REPLACED":
            assert (each.job_id, each.destination) in view.rewrites
    recorded = {each.sop_instance_uid: each.digest for each in view.deliveries}
    for held in world.held_by.values():
        assert held.items() <= recorded.items()


def a_state_is_reached_only_from_its_neighbours(before: View, after: View) -> None:
    """In one step, or in two where a job ends and is superseded at once. A token only rises, by one."""
    for job_id, new in after.jobs.items():
        old = before.jobs.get(job_id)
        if old is None:
            assert new.state == JobState.WAITING
            continue
        reachable = ALLOWED[JobState(old.state)]
        assert new.state == old.state or any(new.state in (each, *ALLOWED[each]) for each in reachable)
        assert new.token - old.token in (0, 1)


RULES = (
    each_acknowledged_instance_has_exactly_one_state,
    an_instance_is_in_a_job_as_long_as_a_job_over_it_lives,
    a_job_ends_once_and_its_tries_are_counted,
    a_job_keeps_what_it_was_ordered_with,
    a_question_has_one_current_answer,
    nothing_is_sent_that_was_not_recorded,
)
