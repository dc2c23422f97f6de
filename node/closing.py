"""From an open series to jobs: gather evidence, judge, route, and close in one transaction.

Everything decided here is decided by pure functions (:mod:`~radnode.node.completion`, :mod:`~radnode.node.routing`);
this module reads rows and clocks for them and writes what they said.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from radnode.node import completion, routing
from radnode.node.own_results import is_own_result
from radnode.node.rejections import rejection
from radnode.node.series_geometry import geometry_of
from radnode.storage import catalog, jobs, ledger, studies
from radnode.storage.errors import StorageError
from radnode.storage.jobs import NewJob
from radnode.storage.ledger import InstanceState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from radnode.config.loading import Configuration
    from radnode.config.routes import Route
    from radnode.node.alarms import Alarms
    from radnode.node.completion import Verdict
    from radnode.node.intake.associations import Associations
    from radnode.node.observability import Metrics
    from radnode.node.routing import RouteExplanation
    from radnode.pipelines.contract import Manifest
    from radnode.storage.catalog import InstanceHeader, SeriesSnapshot
    from radnode.storage.database import Database

log = structlog.get_logger(__name__)

PRIORITIES = {"urgent": 0, "routine": 10, "low": 20}


@dataclass(slots=True)
class _Watch:
    """What was last seen of an open series; a series is looked at again when this changes or its time has come."""

    seen: tuple[object, ...]
    arrival: tuple[object, ...]
    quiet_since_s: float
    look_again_s: float


class SeriesCloser:
    """`step` judges every open series that has news."""

    def __init__(
        self,
        *,
        database: Database,
        configuration: Callable[[], Configuration],
        manifests: Callable[[], Mapping[str, Manifest]],
        associations: Associations,
        now: Callable[[], datetime],
        monotonic_s: Callable[[], float],
        metrics: Metrics,
        alarms: Alarms,
        on_jobs: Callable[[], None],
        look_again_in: Callable[[float], None],
    ) -> None:
        self._database = database
        self._configuration = configuration
        self._manifests = manifests
        self._associations = associations
        self._now = now
        self._monotonic_s = monotonic_s
        self._metrics = metrics
        self._alarms = alarms
        self._on_jobs = on_jobs
        self._look_again_in = look_again_in
        self._watches: dict[int, _Watch] = {}

    def step(self) -> bool:
        """Judge what has news or whose time has come. Always False: for what must wait, a time is set."""
        with self._database.read() as session:
            series = catalog.open_series(session)
        for gone in self._watches.keys() - {each.series_id for each in series}:
            del self._watches[gone]
        for each in series:
            try:
                self._look_at(each)
            except StorageError:
                raise
            except Exception:  # one odd series must not keep the others from being judged
                log.exception("series.not_judged", series_instance_uid=each.series_instance_uid)
                self._alarms.set(f"series:{each.series_id}", f"series {each.series_instance_uid} cannot be judged")
        now_s = self._monotonic_s()
        if due := [watch.look_again_s for watch in self._watches.values() if watch.look_again_s > now_s]:
            self._look_again_in(min(due) - now_s)
        return False

    def _look_at(self, series: SeriesSnapshot) -> None:
        watch, news = self._watch(series)
        if series.unindexed or not (news or self._monotonic_s() >= watch.look_again_s):
            return
        with self._database.read() as session:
            headers = catalog.headers(session, series.series_id)
        verdict = self._judge(series, headers, watch)
        if verdict.decision == "wait":
            wait = verdict.look_again_in or timedelta(seconds=1)
            watch.look_again_s = self._monotonic_s() + wait.total_seconds()
            return
        self._act(series, headers, verdict)

    def _watch(self, series: SeriesSnapshot) -> tuple[_Watch, bool]:
        arrival = (series.revision, series.received)
        seen = (*arrival, series.unindexed, series.queried_count, self._open(series))
        watch = self._watches.get(series.series_id)
        now_s = self._monotonic_s()
        if watch is None or watch.arrival != arrival:
            watch = _Watch(seen=seen, arrival=arrival, quiet_since_s=now_s, look_again_s=now_s)
            self._watches[series.series_id] = watch
            return watch, True
        news, watch.seen = watch.seen != seen, seen
        return watch, news

    def _open(self, series: SeriesSnapshot) -> int:
        return self._associations.open_associations(series.series_instance_uid)

    def _judge(self, series: SeriesSnapshot, headers: Sequence[InstanceHeader], watch: _Watch) -> Verdict:
        configuration = self._configuration()
        settings = configuration.settings
        peer = configuration.peers.get(series.source)
        with self._database.read() as session:
            unreadable = catalog.unreadable(session, series.series_id)
        attributes = [header.attributes for header in headers]
        evidence = completion.SeriesEvidence(
            received=series.received,
            unindexed=series.unindexed,
            unreadable=unreadable,
            associations_open=self._open(series),
            associations_seen=series.associations_seen,
            expected_by_tags=completion.expected_count(attributes),
            queried_count=series.queried_count,
            find_available=peer is not None and peer.answers_find,
            geometry=geometry_of(attributes),
        )
        policy = completion.Policy(
            quiet=timedelta(seconds=settings.quiet_time_s),
            settle=timedelta(seconds=settings.settle_time_s),
            hold_after=timedelta(seconds=settings.hold_after_s),
        )
        quiet_for = timedelta(seconds=self._monotonic_s() - watch.quiet_since_s)
        return completion.judge(evidence, policy, quiet_for)

    def _act(self, series: SeriesSnapshot, headers: Sequence[InstanceHeader], verdict: Verdict) -> None:
        grounds = [asdict(ground) for ground in verdict.grounds]
        now = self._now()
        with self._database.begin() as session:
            if conflict := series.study_conflict or _conflict(headers):
                done = catalog.conflict_series(session, series, reason=conflict, grounds=grounds, now=now)
                decision = "conflict"
            elif verdict.decision == "hold":
                done = catalog.hold_series(session, series, reason=verdict.reason, grounds=grounds, now=now)
                decision = "held"
            else:
                done = catalog.close_series(session, series, grounds=grounds, now=now)
                decision = "closed"
                if done:
                    self._route(session, series, headers, now)
        if not done:
            return
        self._metrics.series_judged.labels(decision).inc()
        say = log.info if decision == "closed" else log.warning
        say("series.judged", decision=decision, series_instance_uid=series.series_instance_uid,
                 revision=series.revision, instances=len(headers), grounds=[ground.text for ground in verdict.grounds])
        self._on_jobs()

    def _route(
        self, session: Session, series: SeriesSnapshot, headers: Sequence[InstanceHeader], now: datetime
    ) -> None:
        own = [header.instance_id for header in headers if is_own_result(header.attributes)]
        foreign = [header for header in headers if header.instance_id not in set(own)]
        ledger.move(session, own, InstanceState.OWN_RESULT, reason="made by radnode", now=now)
        configuration = self._configuration()
        explanations = routing.explain(
            configuration.routes, [header.attributes for header in foreign], {"source": series.source}
        )
        catalog.store_routing(
            session,
            series,
            explanations=routing.as_json(explanations),
            configuration_digest=configuration.digest,
            now=now,
        )
        for job in self._jobs(series, foreign, explanations):
            if jobs.insert_job(session, job, now) is None:
                log.info("job.exists", pipeline=job.pipeline, key=job.key)
        manifests = self._manifests()
        of_study = any(
            manifests[pipeline].of_study for route in self._matched(explanations) for pipeline in route.run
        )
        if foreign:
            studies.ask(session, series.study_id, first=of_study)
        unrouted = [
            header.instance_id
            for header in foreign
            if not any(explanation.matched for explanation in explanations)
        ]
        ledger.move(session, unrouted, InstanceState.NOT_ROUTED, reason="no route matched", now=now)
        for header in foreign:
            if (rejected := rejection(header.attributes)) is not None:
                self._withdraw(session, series, *rejected, now)

    def _withdraw(
        self, session: Session, series: SeriesSnapshot, why: str, sop_instance_uids: Sequence[str], now: datetime
    ) -> None:
        """What was found on images that were rejected since is no answer any more (IHE IOCM)."""
        reason = f"images it was made of were rejected: {why}"
        withdrawn = jobs.withdraw(session, series.study_id, sop_instance_uids, reason, now)
        log.warning("results.withdrawn", study_instance_uid=series.study_instance_uid, jobs=withdrawn, reason=why)

    def _jobs(
        self, series: SeriesSnapshot, headers: Sequence[InstanceHeader], explanations: Sequence[RouteExplanation]
    ) -> list[NewJob]:
        """One job for each pipeline that a matching route runs; its results go wherever any of these routes sends.

        What reads several series is asked when the study is whole (:mod:`~radnode.node.study_closing`).
        """
        configuration, manifests = self._configuration(), self._manifests()
        routes = self._matched(explanations)
        uids = [series.series_instance_uid]
        return [
            new_job(
                configuration, manifests[pipeline], [route for route in routes if pipeline in route.run], headers,
                study=(series.study_id, series.study_instance_uid), series_uids=uids, series_id=series.series_id,
                revision=series.revision,
            )
            for pipeline in dict.fromkeys(name for route in routes for name in route.run)
            if not manifests[pipeline].of_study
        ]

    def _matched(self, explanations: Sequence[RouteExplanation]) -> list[Route]:
        matched = {explanation.route for explanation in explanations if explanation.matched}
        return [route for route in self._configuration().routes if route.name in matched]


def new_job(
    configuration: Configuration,
    manifest: Manifest,
    asking: Sequence[Route],
    headers: Sequence[InstanceHeader],
    *,
    study: tuple[int, str],
    series_uids: Sequence[str],
    series_id: int,
    revision: int,
) -> NewJob:
    """The job of a pipeline over these instances, for the routes that ask for it.

    study: id and UID. series_uids: of the inputs. series_id, revision: what it is kept under, and which one it is.
    """
    content_qualification = configuration.settings.content_qualification
    inputs = sorted((header.sop_instance_uid, header.digest) for header in headers)
    return NewJob(
        key=_digest(
            [study[1], *series_uids, inputs, manifest.name, manifest.version, manifest.model_digest,
             content_qualification]
        ),
        study_id=study[0],
        series_id=series_id,
        revision=revision,
        pipeline=manifest.name,
        pipeline_version=manifest.version,
        route_names=[route.name for route in asking],
        destinations=list(dict.fromkeys(name for route in asking for name in route.send)),
        priority=min(PRIORITIES[route.priority] for route in asking),
        configuration_digest=configuration.digest,
        input_digest=_digest(inputs),
        instance_ids=[header.instance_id for header in headers],
    )


def _conflict(headers: Sequence[InstanceHeader]) -> str:
    """Why these instances contradict each other, empty if they do not (S9, U3, U4)."""
    number = sum(header.state == InstanceState.CONFLICT for header in headers)
    return f"{number} instances contradict others in identity or content" if number else ""


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, separators=(",", ":")).encode()).hexdigest()
