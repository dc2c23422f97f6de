"""From an open series to jobs: gather evidence, judge, route, and close in one transaction.

Everything decided here is decided by pure functions (:mod:`~radnode.node.completion`, :mod:`~radnode.node.routing`);
this module reads rows and clocks for them and writes what they said.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from radnode.node import completion, routing
from radnode.node.deidentifying.planning import is_outside, send_on
from radnode.node.messaging import contexts
from radnode.node.monitoring.corrections import CORRECTS, recognised
from radnode.node.own_results import is_own_result
from radnode.node.rejections import rejection
from radnode.node.retrieving.prior_wishes import want_priors
from radnode.node.series_geometry import geometry_of
from radnode.node.watching import Watches
from radnode.storage import by_hand, catalog, fetches, jobs, ledger, performed, studies
from radnode.storage.jobs import NewJob
from radnode.storage.ledger import InstanceState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    from sqlalchemy.orm import Session

    from radnode.config.loading import Configuration
    from radnode.config.routes import Route
    from radnode.node.alarms import Alarms
    from radnode.node.completion import Verdict
    from radnode.node.intake.associations import Associations
    from radnode.node.observability import Metrics
    from radnode.node.watching import Watch
    from radnode.pipelines.contract import Manifest
    from radnode.storage.by_hand import AsItIs
    from radnode.storage.catalog import InstanceHeader, SeriesSnapshot
    from radnode.storage.database import Database
    from radnode.storage.performed import Statement

log = structlog.get_logger(__name__)

_PRIOR = "fetched as a prior"
PRIORITIES = {"urgent": 0, "routine": 10, "low": 20}


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
        self._performed: Mapping[str, Sequence[Statement]] = {}
        self._as_it_is: Mapping[int, AsItIs] = {}
        self._watches = Watches(monotonic_s=monotonic_s, look_again_in=look_again_in)

    def step(self) -> bool:
        """Judge what has news or whose time has come. Always False: for what must wait, a time is set."""
        with self._database.read() as session:
            series = catalog.open_series(session)
            self._performed = performed.of_open(session)
            self._as_it_is = by_hand.as_it_is(session)
        self._watches.look_at_each({each.series_id: each for each in series}, self._look_at, self._not_judged)
        return False

    def _not_judged(self, series: SeriesSnapshot, error: Exception) -> None:
        log.error("series.not_judged", series_instance_uid=series.series_instance_uid, exc_info=error)
        self._alarms.set(f"series:{series.series_id}", f"series {series.series_instance_uid} cannot be judged")

    def _look_at(self, series: SeriesSnapshot) -> None:
        watch = self._watches.of(series.series_id, (series.revision, series.received))
        said = tuple(self._performed.get(series.study_instance_uid, ()))
        news = watch.news((series.unindexed, series.queried_count, self._open(series), said))
        if series.unindexed or not (news or self._monotonic_s() >= watch.look_again_s):
            return
        with self._database.read() as session:
            headers = catalog.headers(session, series.series_id)
        verdict = self._judge(series, headers, watch, said)
        if verdict.decision == "wait":
            wait = verdict.look_again_in or timedelta(seconds=1)
            watch.look_again_s = self._monotonic_s() + wait.total_seconds()
            return
        self._act(series, headers, verdict)

    def _open(self, series: SeriesSnapshot) -> int:
        return self._associations.open_associations(series.series_instance_uid)

    def _judge(
        self, series: SeriesSnapshot, headers: Sequence[InstanceHeader], watch: Watch, said: Sequence[Statement]
    ) -> Verdict:
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
            performed=performed_of(said, series.series_instance_uid, {header.sop_instance_uid for header in headers}),
        )
        policy = completion.Policy(
            quiet=timedelta(seconds=settings.quiet_time_s),
            settle=timedelta(seconds=settings.settle_time_s),
            hold_after=timedelta(seconds=settings.hold_after_s),
        )
        quiet_for = timedelta(seconds=self._monotonic_s() - watch.quiet_since_s)
        ordered = self._as_it_is.get(series.series_id)
        if ordered is not None and ordered.revision == series.revision:
            return completion.as_it_is(completion.judge(evidence, policy, policy.quiet + policy.hold_after), ordered.by)
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
        self._alarms.clear(f"series:{series.series_id}")
        self._metrics.series_judged.labels(decision).inc()
        say = log.info if decision == "closed" else log.warning
        say("series.judged", decision=decision, series_instance_uid=series.series_instance_uid,
            revision=series.revision, instances=len(headers), grounds=[ground.text for ground in verdict.grounds])
        self._on_jobs()

    def _route(
        self, session: Session, series: SeriesSnapshot, headers: Sequence[InstanceHeader], now: datetime
    ) -> None:
        configuration = self._configuration()
        outside = is_outside(configuration, series.source)  # whatever made it there, it is sent on from here
        own = [header.instance_id for header in headers if not outside and is_own_result(header.attributes)]
        corrections = [] if outside else recognised(session, configuration, series, headers, now)
        foreign = [header for header in headers if header.instance_id not in {*own, *corrections}]
        ledger.move(session, own, InstanceState.OWN_RESULT, reason="made by radnode", now=now)
        ledger.move(session, corrections, InstanceState.NOT_ROUTED, reason=CORRECTS, now=now)
        if fetches.is_prior(session, series.study_id):
            self._leave_prior(session, series, [header.instance_id for header in foreign], now)
            return
        explanations = routing.explain(
            () if outside else configuration.routes, [header.attributes for header in foreign],
            {"source": series.source, **contexts.conditions(session, series.study_id, now)},
        )
        catalog.store_routing(
            session,
            series,
            explanations=routing.as_json(explanations),
            configuration_digest=configuration.digest,
            now=now,
        )
        sent_on = send_on(session, configuration, series.source, explanations, [each.instance_id for each in foreign],
                          now)
        if outside:
            return
        asked = routing.asked(configuration.routes, explanations)
        ask(session, configuration, self._manifests(), series, foreign, asked, now=now)
        of_study = any(self._manifests()[pipeline].of_study for pipeline in asked)
        if foreign:
            studies.ask(session, series.study_id, first=of_study)
        if not any(explanation.matched for explanation in explanations) or (sent_on and not asked):
            unrouted = [header.instance_id for header in foreign]
            reason = f"sent on to {', '.join(sent_on)}; no pipeline was asked" if sent_on else "no route matched"
            ledger.move(session, unrouted, InstanceState.NOT_ROUTED, reason=reason, now=now)
        for header in foreign:
            if (rejected := rejection(header.attributes)) is not None:
                self._withdraw(session, series, *rejected, now)

    def _leave_prior(
        self, session: Session, series: SeriesSnapshot, instance_ids: Sequence[int], now: datetime
    ) -> None:
        """What was fetched to be compared with is no study to be read (S6, S7, M16)."""
        catalog.store_routing(
            session, series, explanations=routing.as_json([routing.no_route(_PRIOR, len(instance_ids))]),
            configuration_digest=self._configuration().digest, now=now,
        )
        ledger.move(session, instance_ids, InstanceState.NOT_ROUTED, reason=_PRIOR, now=now)

    def _withdraw(
        self, session: Session, series: SeriesSnapshot, why: str, sop_instance_uids: Sequence[str], now: datetime
    ) -> None:
        """What was found on images that were rejected since is no answer any more (IHE IOCM)."""
        reason = f"images it was made of were rejected: {why}"
        withdrawn = jobs.withdraw(session, series.study_id, sop_instance_uids, reason, now)
        log.warning("results.withdrawn", study_instance_uid=series.study_instance_uid, jobs=withdrawn, reason=why)


def ask(
    session: Session, configuration: Configuration, manifests: Mapping[str, Manifest], series: SeriesSnapshot,
    foreign: Sequence[InstanceHeader], asked: Mapping[str, Sequence[Route]], *, now: datetime,
) -> list[str]:
    """A job for each pipeline that reads a series; the names of those that had one on the same images before.

    Pipelines that read several series are asked when the study is whole (:mod:`radnode.node.study_closing`).
    """
    known = []
    for pipeline, asking in asked.items():
        if manifests[pipeline].of_study:
            continue
        job = new_job(
            configuration, manifests[pipeline], asking, foreign, study=(series.study_id, series.study_instance_uid),
            series_uids=[series.series_instance_uid], series_id=series.series_id, revision=series.revision,
            repeat=by_hand.repeats(session, series.study_id),
        )
        if (job_id := jobs.insert_job(session, job, now)) is None:
            log.info("job.exists", pipeline=job.pipeline, key=job.key)
            known.append(pipeline)
            continue
        by_hand.remark(session, job_id, [(series.series_id, series.revision)])
        if manifests[pipeline].priors:
            want_priors(session, configuration, asking, job_id, headers=foreign, source=series.source, now=now)
    return known


def performed_of(
    said: Sequence[Statement], series_instance_uid: str, here: AbstractSet[str]
) -> completion.Performed | None:
    """What counts of what peers say of a series. A step in progress may name more later: it proves nothing yet."""
    ended = [each for each in said if each.state == "DISCONTINUED" or
             (each.state == "COMPLETED" and series_instance_uid in each.series)]
    if not ended:
        return None
    named = {uid for each in ended for uid in each.series.get(series_instance_uid, ())}
    reasons = [each.reason or "no reason given" for each in ended if each.state == "DISCONTINUED"]
    return completion.Performed(
        by=" and ".join(sorted({each.kind for each in ended})), named=len(named), missing=len(named - here),
        discontinued=f"a procedure step of the study was discontinued ({', '.join(reasons)})" if reasons else "",
    )


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
    repeat: int = 0,
) -> NewJob:
    """The job of a pipeline over these instances, for the routes that ask for it.

    study: id and UID. series_uids: of the inputs. series_id, revision: what it is kept under, and which one it is.
    repeat: how often somebody has ordered that the study be run again; such a run is another job with other results.
    Routes in shadow ask for a job in shadow; where a route that sends asks as well, only that one counts.
    """
    shadow = all(route.shadow for route in asking)
    asking = [route for route in asking if route.shadow == shadow]
    content_qualification = configuration.settings.content_qualification
    inputs = sorted((header.sop_instance_uid, header.digest) for header in headers)
    return NewJob(
        key=_digest(
            [study[1], *series_uids, inputs, manifest.name, manifest.version, manifest.model_digest,
             content_qualification, *(["shadow"] if shadow else []), *([repeat] if repeat else [])]
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
        shadow=shadow,
        within=min((route.within for route in asking if route.within is not None), default=None),
    )


def _conflict(headers: Sequence[InstanceHeader]) -> str:
    """Why these instances contradict each other, empty if they do not (S9, U3, U4)."""
    number = sum(header.state == InstanceState.CONFLICT for header in headers)
    return f"{number} instances contradict others in identity or content" if number else ""


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, separators=(",", ":")).encode()).hexdigest()
