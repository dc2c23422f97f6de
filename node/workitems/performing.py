"""Performs ordered work items: claims, waits for the images, orders the jobs of the route, and says what came of it.

Jobs are made as if the route had matched: by its conditions, of the series that are named, once each is closed. An
item runs on exactly what it names, or, with the reason, not at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog
from pydicom.uid import generate_uid

from radnode.node import routing, study_closing
from radnode.node.closing import new_job
from radnode.node.own_results import is_own_result
from radnode.node.workitems import attributes
from radnode.node.workitems.desk import retrieve_from
from radnode.node.workitems.states import State
from radnode.storage import by_hand, catalog, fetches, jobs, studies, workitems
from radnode.storage.catalog import SeriesState
from radnode.storage.jobs import JobState, LeaseLost
from radnode.storage.studies import StudySeries

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from pydicom.dataset import Dataset
    from sqlalchemy.orm import Session

    from radnode.config.loading import Configuration
    from radnode.config.routes import Route
    from radnode.node.workitems.attributes import Order
    from radnode.pipelines.contract import Manifest
    from radnode.storage.catalog import InstanceHeader
    from radnode.storage.database import Database
    from radnode.storage.workitems import HeldSeries, JobOutcome, WorkItem

log = structlog.get_logger(__name__)

STOPPED_BY = "who ordered it"


class NotPerformed(Exception):
    """Why an order ends without its results."""


@dataclass(frozen=True, slots=True)
class Lacking:
    """What is waited for, in words."""

    text: str


def input_of(order: Order, held: Sequence[HeldSeries]) -> list[tuple[HeldSeries, frozenset[str]]] | Lacking:
    """The series of an order, each with the instances that count, or what is still lacking. Pure.

    What is named must be here, in closed series; a study named as a whole is all that is here, once all is closed.
    Raises :class:`NotPerformed` where a series is held or in conflict: it would never be whole.
    """
    here = {each.series_instance_uid: each for each in held}
    named = dict(order.series) or {uid: frozenset[str]() for uid in here}
    if not named:
        return Lacking("no image of the study is here")
    chosen = []
    for uid, instances in named.items():
        series = here.get(uid)
        missing = len(instances - series.sop_instance_uids) if series else len(instances)
        if series is None or missing:
            return Lacking(f"{missing or 'all'} images of series {uid} are not here")
        if series.state == SeriesState.OPEN:
            return Lacking(f"series {uid} is not closed yet")
        if series.state != SeriesState.CLOSED:
            raise NotPerformed(f"series {uid} is {series.state.lower()}: {series.reason}")
        chosen.append((series, instances or series.sop_instance_uids))
    return chosen


@dataclass(frozen=True, slots=True)
class Planned:
    """A job to be: of one series, or of those that a pipeline of several reads, the one that results lie on first."""

    manifest: Manifest
    series: tuple[HeldSeries, ...]
    headers: tuple[InstanceHeader, ...]


def plan(
    route: Route, manifests: Mapping[str, Manifest], chosen: Sequence[HeldSeries],
    images: Mapping[int, Sequence[InstanceHeader]],
) -> list[Planned]:
    """What the pipelines of a route read of the series that an order names. images: of each series. Pure.

    Raises :class:`NotPerformed` where a pipeline would refuse what is named.
    """
    enabled = (_enabled(route),)
    asked: dict[str, list[HeldSeries]] = {}
    for series in chosen:
        said = [each.attributes for each in images[series.series_id]]
        for name in routing.asked(enabled, routing.explain(enabled, said, {"source": series.source})):
            asked.setdefault(name, []).append(series)
    planned = []
    for name, matching in asked.items():
        if manifests[name].of_study:
            planned.append(_of_study(manifests[name], route, chosen, images))
        else:
            planned += [Planned(manifests[name], (each,), tuple(images[each.series_id])) for each in matching]
    return planned


def _of_study(
    manifest: Manifest, route: Route, chosen: Sequence[HeldSeries], images: Mapping[int, Sequence[InstanceHeader]]
) -> Planned:
    """What the order names is the whole study to a pipeline that reads several series: no other series is taken."""
    by_id = {each.series_id: each for each in chosen}
    found = study_closing.plan(manifest, [route], [
        StudySeries(series_id=each.series_id, series_instance_uid=each.series_instance_uid, source=each.source,
                    state=SeriesState(each.state), revision=each.revision, received=len(images[each.series_id]),
                    reason=each.reason)
        for each in chosen
    ], images)
    if found.refused or not found.headers:
        raise NotPerformed(f"{manifest.name}: {found.refused or 'it reads none of the series that are named'}")
    return Planned(manifest, tuple(by_id[each.series_id] for each in found.series), found.headers)


def ended(outcomes: Sequence[JobOutcome]) -> bool:
    """Whether nothing is under way any more: no job, no delivery. Pure; raises :class:`NotPerformed`."""
    for job in outcomes:
        if job.state in (JobState.WAITING, JobState.RUNNING):
            return False
        if job.state in (JobState.FAILED, JobState.NOT_PROCESSED, JobState.DISCARDED):
            raise NotPerformed(f"{job.pipeline}: {job.state.lower().replace('_', ' ')}: {job.reason}")
    for job in outcomes:
        dead = sorted({destination for destination, state in job.deliveries if state == "DEAD"})
        if dead:
            raise NotPerformed(f"{job.pipeline}: results were not taken by {', '.join(dead)}")
    return not any(state in workitems.UNDER_WAY for job in outcomes for _, state in job.deliveries)


class Performer:
    """`step` is that of an activity.

    fetch: asked for the images of an order that are not here, as (study, its Input Information Sequence); it may get
    them or not, and is asked again.
    """

    def __init__(
        self, *, database: Database, configuration: Callable[[], Configuration],
        manifests: Callable[[], Mapping[str, Manifest]], now: Callable[[], datetime], on_jobs: Callable[[], None],
        fetch: Callable[[str, Sequence[Dataset]], None] = lambda _study, _inputs: None,
    ) -> None:
        self._database = database
        self._configuration = configuration
        self._manifests = manifests
        self._now = now
        self._on_jobs = on_jobs
        self._fetch = fetch

    def step(self) -> bool:
        """Look at each item. Always False: the clock pulses again."""
        with self._database.read() as session:
            items = workitems.to_perform(session)
        for item in items:
            try:
                self._look_at(item)
            except NotPerformed as why:
                self._cancel(item, str(why))
            except workitems.Changed:
                continue  # by somebody else, since it was read
        return False

    def _look_at(self, item: WorkItem) -> None:
        dataset = attributes.stored(item.content)
        if item.state == State.SCHEDULED:
            if dataset.get("InputReadinessState") != "UNAVAILABLE" and self._is_due(dataset):
                self._claim(item, dataset)
        elif item.jobs:
            if not (item.cancel_asked and self._stop(item, dataset)):
                self._follow(item, dataset)
        elif item.cancel_asked:
            raise NotPerformed(item.cancel_reason or "its cancellation was asked for before a job began")
        else:
            self._begin(item, dataset)

    def _is_due(self, dataset: Dataset) -> bool:
        said = str(dataset.get("ScheduledProcedureStepStartDateTime") or "")
        return said[:14] <= f"{self._now():%Y%m%d%H%M%S}" or not said.endswith("+0000")

    def _claim(self, item: WorkItem, dataset: Dataset) -> None:
        attributes.begun(dataset, self._configuration().settings.ae_title, self._now())
        dataset.ProcedureStepState = State.IN_PROGRESS
        with self._database.begin() as session:
            workitems.change(session, item, self._now(), state=State.IN_PROGRESS, own=True, progress="claimed",
                             transaction_uid=str(generate_uid(prefix=None)), content=attributes.to_keep(dataset))
        log.info("workitem.claimed", workitem=item.uid, route=item.route)

    def _begin(self, item: WorkItem, dataset: Dataset) -> None:
        configuration = self._configuration()
        route = next((each for each in configuration.routes if each.name == item.route), None)
        if route is None:
            raise NotPerformed(f"route {item.route} is not configured any more")
        order = attributes.order(dataset)
        with self._database.begin() as session:
            found = input_of(order, workitems.held(session, order.study_instance_uid))
            if not isinstance(found, Lacking):
                held_of = (fetches.patient_of(session, order.study_instance_uid) or "").strip()
                if order.patient_id and order.patient_id != held_of:
                    raise NotPerformed("its images are of another patient than it names")
                ids, begun = self._jobs(session, configuration, route, order, found)
                text = f"{len(ids)} jobs of route {route.name}"
                workitems.change(session, item, self._now(), jobs=ids, begun=begun, progress=text,
                                 content=attributes.to_keep(attributes.with_progress(dataset, text, 10)))
        if not isinstance(found, Lacking):
            log.info("workitem.begun", workitem=item.uid, jobs=ids)
            self._on_jobs()
            return
        if self._now() - item.created_at > configuration.workitems.wait:
            raise NotPerformed(f"given up after {configuration.workitems.wait}: {found.text}")
        self._fetch(order.study_instance_uid, dataset.get("InputInformationSequence") or [])
        self._note(item, dataset, f"waits: {found.text}")

    def _jobs(
        self, session: Session, configuration: Configuration, route: Route, order: Order,
        chosen: Sequence[tuple[HeldSeries, frozenset[str]]],
    ) -> tuple[list[int], list[int]]:
        """Ids of the jobs, and of those among them that did not run before. Raises :class:`NotPerformed`."""
        if route.shadow:
            raise NotPerformed(f"route {route.name} runs in shadow: its results go to nobody")
        manifests = self._manifests()
        if missing := [name for name in route.run if name not in manifests]:
            raise NotPerformed(f"pipelines {', '.join(missing)} are not installed")
        images = {
            series.series_id: [each for each in catalog.headers(session, series.series_id)
                               if each.sop_instance_uid in instances and not is_own_result(each.attributes)]
            for series, instances in chosen
        }
        planned = plan(route, manifests, [series for series, _ in chosen], images)
        if not planned:
            raise NotPerformed(f"no series of the input meets the conditions of route {route.name}")
        made = [self._inserted(session, configuration, route, order, each) for each in planned]
        return [job_id for job_id, _ in made], [job_id for job_id, is_new in made if is_new]

    def _inserted(
        self, session: Session, configuration: Configuration, route: Route, order: Order, planned: Planned
    ) -> tuple[int, bool]:
        """A job, and whether it is new. One that an earlier order had stopped has no answer: it runs once more."""
        repeat, first = 0, planned.series[0]
        series_id, revision = first.series_id, first.revision
        if planned.manifest.of_study and (last := studies.last_job(session, first.study_id, planned.manifest.name)):
            series_id, revision = last[0], last[1] + 1
        while True:
            job = new_job(
                configuration, planned.manifest, [route], planned.headers,
                study=(first.study_id, order.study_instance_uid), series_id=series_id, revision=revision, repeat=repeat,
                series_uids=sorted(each.series_instance_uid for each in planned.series),
            )
            inserted = jobs.insert_job(session, job, self._now())
            if inserted is not None:
                by_hand.remark(session, inserted, [(each.series_id, each.revision) for each in planned.series])
                return inserted, True
            known = workitems.job_of_key(session, job.key)
            if not (known.state == JobState.DISCARDED and known.reason.startswith(f"discarded by {STOPPED_BY}")):
                return known.job_id, False
            repeat += 1

    def _stop(self, item: WorkItem, dataset: Dataset) -> bool:
        """End an order whose cancellation was asked for, and what runs for it alone; what it has in common goes on.

        False once a job has its results, or has failed: it is too late then, and the order ends as it would have.
        """
        reason = item.cancel_reason or "its cancellation was asked for"
        try:
            with self._database.begin() as session:
                outcomes = workitems.outcomes(session, item.jobs)
                if any(job.state not in (JobState.WAITING, JobState.RUNNING) for job in outcomes):
                    return False
                stopped = workitems.stoppable(session, item)
                for job_id in stopped:
                    jobs.discard(session, job_id, by=STOPPED_BY, reason=reason, now=self._now())
                ended = attributes.canceled(dataset, reason, self._now(), by_request=True)
                workitems.change(session, item, self._now(), state=State.CANCELED, progress=reason,
                                 content=attributes.to_keep(ended))
        except LeaseLost:  # a job ended at this moment
            return False
        log.info("workitem.stopped", workitem=item.uid, jobs=stopped)
        return True

    def _follow(self, item: WorkItem, dataset: Dataset) -> None:
        with self._database.read() as session:
            outcomes = workitems.outcomes(session, item.jobs)
        if not ended(outcomes):
            done = sum(job.state not in (JobState.WAITING, JobState.RUNNING) for job in outcomes)
            self._note(item, dataset, f"{done} of {len(outcomes)} jobs ended", 10 + 80 * done // len(outcomes))
            return
        place = next(filter(None, (retrieve_from(self._configuration(), job) for job in outcomes)), "")
        attributes.completed(dataset, outcomes, place, self._now())
        with self._database.begin() as session:
            workitems.change(session, item, self._now(), state=State.COMPLETED, progress="completed",
                             content=attributes.to_keep(dataset))
        log.info("workitem.completed", workitem=item.uid, jobs=list(item.jobs))

    def _note(self, item: WorkItem, dataset: Dataset, text: str, percent: int | None = None) -> None:
        if text == item.progress:
            return
        with self._database.begin() as session:
            content = attributes.to_keep(attributes.with_progress(dataset, text, percent))
            workitems.change(session, item, self._now(), progress=text, content=content)

    def _cancel(self, item: WorkItem, reason: str) -> None:
        dataset = attributes.canceled(attributes.stored(item.content), reason, self._now(),
                                      by_request=item.cancel_asked)
        with self._database.begin() as session:
            workitems.change(session, item, self._now(), state=State.CANCELED, progress=reason,
                             content=attributes.to_keep(dataset))
        log.warning("workitem.canceled", workitem=item.uid, reason=reason)


def _enabled(route: Route) -> Route:
    """An order is reason enough: a route that is disabled runs by order alone."""
    return replace(route, enabled=True)
