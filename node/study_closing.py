"""From a study whose series are decided to the jobs of pipelines that read several of them.

A study is judged when none of its series is open. If every input of a pipeline is found, its job is made once nothing
new has come for the quiet time; if one is missing or not clear, the study gets as long as an incomplete series, and
then a job over all candidates, which the pipeline refuses: so the radiologist is told as well. A screening mammography
that lacks a view, or a study that lacks an optional input, gets as long, and is then read without it. A series that
closes later has the study judged again; the same choice is the same job, another one is a new revision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from radnode.node import routing
from radnode.node.closing import new_job
from radnode.node.messaging import contexts
from radnode.node.own_results import is_own_result
from radnode.node.watching import Watches
from radnode.pipelines.sources import choice, screening
from radnode.storage import by_hand, catalog, jobs, studies
from radnode.storage.catalog import SeriesState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from radnode.config.loading import Configuration
    from radnode.config.routes import Route
    from radnode.node.alarms import Alarms
    from radnode.node.routing import RouteExplanation
    from radnode.pipelines.contract import Manifest
    from radnode.pipelines.sources.choice import Choice
    from radnode.storage.catalog import InstanceHeader
    from radnode.storage.database import Database
    from radnode.storage.studies import AskedStudy, StudySeries

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one pipeline makes of a study. headers: the frozen input; refused: why it will not run. lacking: what it
    could wait for; it runs without it."""

    manifest: Manifest
    routes: tuple[Route, ...]
    choices: tuple[Choice, ...]
    series: tuple[StudySeries, ...]
    headers: tuple[InstanceHeader, ...]
    refused: str
    lacking: str = ""

    def explained(self) -> dict[str, Any]:
        """For storing and showing."""
        return {"pipeline": self.manifest.name, "routes": [route.name for route in self.routes],
                "refused": self.refused, "lacking": self.lacking, "inputs": choice.as_json(self.choices)}


class StudyCloser:
    """`step` judges every study that is asked, whose series are decided and whose time has come."""

    def __init__(
        self,
        *,
        database: Database,
        configuration: Callable[[], Configuration],
        manifests: Callable[[], Mapping[str, Manifest]],
        now: Callable[[], datetime],
        monotonic_s: Callable[[], float],
        alarms: Alarms,
        on_jobs: Callable[[], None],
        look_again_in: Callable[[float], None],
    ) -> None:
        self._database = database
        self._configuration = configuration
        self._manifests = manifests
        self._now = now
        self._monotonic_s = monotonic_s
        self._alarms = alarms
        self._on_jobs = on_jobs
        self._watches = Watches(monotonic_s=monotonic_s, look_again_in=look_again_in)

    def step(self) -> bool:
        """Judge what is due. Always False: for what must wait, a time is set."""
        with self._database.read() as session:
            asked = studies.asked(session)
        self._watches.look_at_each({each.study_id: each for each in asked}, self._look_at, self._not_judged)
        return False

    def _not_judged(self, study: AskedStudy, error: Exception) -> None:
        log.error("study.not_judged", study_instance_uid=study.study_instance_uid, exc_info=error)
        self._alarms.set(f"study:{study.study_id}", f"study {study.study_instance_uid} cannot be judged")

    def _look_at(self, study: AskedStudy) -> None:
        settings, now_s = self._configuration().settings, self._monotonic_s()
        arrivals = tuple((each.series_id, each.revision, each.received) for each in study.series)
        watch = self._watches.of(study.study_id, arrivals, look_in_s=settings.quiet_time_s)
        if now_s < watch.look_again_s or any(each.state is SeriesState.OPEN for each in study.series):
            return
        plans = self._plans(study)
        patience_s = settings.quiet_time_s + settings.hold_after_s
        if any(plan.refused or plan.lacking for plan in plans) and now_s < watch.quiet_since_s + patience_s:
            watch.look_again_s = watch.quiet_since_s + patience_s
            return
        self._act(study, plans)

    def _plans(self, study: AskedStudy) -> list[Plan]:
        configuration, manifests = self._configuration(), self._manifests()
        images: dict[int, list[InstanceHeader]] = {}
        explained: list[RouteExplanation] = []
        with self._database.read() as session:
            for each in study.series:
                headers = catalog.headers(session, each.series_id)
                images[each.series_id] = [one for one in headers if not is_own_result(one.attributes)]
            order = contexts.recorded(session, study.study_id)
        for each in study.series:
            if each.state is SeriesState.CLOSED:
                attributes = [one.attributes for one in images[each.series_id]]
                explained += routing.explain(configuration.routes, attributes, {"source": each.source, **order})
        return [
            plan(manifests[name], asking, study.series, images)
            for name, asking in routing.asked(configuration.routes, explained).items() if manifests[name].of_study
        ]

    def _act(self, study: AskedStudy, plans: Sequence[Plan]) -> None:
        configuration, now = self._configuration(), self._now()
        with self._database.begin() as session:
            done = studies.answer(
                session, study, explanations=[plan.explained() for plan in plans],
                configuration_digest=configuration.digest, now=now,
            )
            if not done:
                return
            for plan in plans:
                if not plan.headers:
                    continue
                last = studies.last_job(session, study.study_id, plan.manifest.name)
                job = new_job(
                    configuration, plan.manifest, plan.routes, plan.headers,
                    study=(study.study_id, study.study_instance_uid),
                    series_uids=sorted(each.series_instance_uid for each in plan.series),
                    series_id=last[0] if last else plan.series[0].series_id, revision=last[1] + 1 if last else 1,
                    repeat=by_hand.repeats(session, study.study_id),
                )
                if (job_id := jobs.insert_job(session, job, now)) is None:
                    log.info("job.exists", pipeline=job.pipeline, key=job.key)
                else:
                    by_hand.remark(session, job_id, [(each.series_id, each.revision) for each in plan.series])
            names = ", ".join(plan.manifest.name for plan in plans)
            studies.leave(session, study.study_id, reason=f"not an input of {names}" if names else "no route matched",
                          now=now)
        self._alarms.clear(f"study:{study.study_id}")
        log.info("study.judged", study_instance_uid=study.study_instance_uid, series=len(study.series),
                 pipelines=[plan.manifest.name for plan in plans],
                 refused=[plan.manifest.name for plan in plans if plan.refused])
        self._on_jobs()


def plan(
    manifest: Manifest, routes: Sequence[Route], series: Sequence[StudySeries],
    images: Mapping[int, Sequence[InstanceHeader]],
) -> Plan:
    """What a pipeline that reads several series makes of these. images: of each series. Pure."""
    return (_plan if manifest.inputs else _plan_of_screening)(manifest, routes, series, images)


def _plan(
    manifest: Manifest, routes: Sequence[Route], series: Sequence[StudySeries],
    images: Mapping[int, Sequence[InstanceHeader]],
) -> Plan:
    candidates = [each for each in series if images[each.series_id]]
    choices = choice.choose(
        [choice.Series(series_instance_uid=each.series_instance_uid, closed_off=_closed_off(each),
                headers=tuple(one.attributes for one in images[each.series_id])) for each in candidates],
        manifest.inputs, registers=manifest.registers,
    )
    refused = choice.refusal(choices)
    chosen = [each.stack.series_instance_uid for each in choices if each.stack is not None]
    modalities = {each.modality for each in manifest.inputs}
    taken = [
        each for each in candidates if each.state is SeriesState.CLOSED and (
            any(one.attributes.get("Modality") in modalities for one in images[each.series_id])
            if refused else each.series_instance_uid in chosen)
    ]
    # The reference first: jobs are kept under its series.
    taken.sort(key=lambda each: each.series_instance_uid not in chosen[:1])
    return Plan(
        manifest=manifest, routes=tuple(routes), choices=choices, series=tuple(taken), refused=refused,
        lacking="; ".join(choice.lacking(choices).values()),
        headers=tuple(one for each in taken for one in images[each.series_id]),
    )


def _plan_of_screening(
    manifest: Manifest, routes: Sequence[Route], series: Sequence[StudySeries],
    images: Mapping[int, Sequence[InstanceHeader]],
) -> Plan:
    """All mammograms of the study, and what rejects them; which of them are its views, the pipeline's run decides."""
    taken = tuple(
        each for each in series if each.state is SeriesState.CLOSED
        and any(one.attributes.get("Modality") in (manifest.modality, "KO") for one in images[each.series_id])
    )
    headers = tuple(one for each in taken for one in images[each.series_id])
    found = screening.examine([one.attributes for one in headers], manifest)
    lacking = "; ".join(f"{screening.named(place)} {reason}" for place, reason in found.lacking.items())
    return Plan(manifest=manifest, routes=tuple(routes), choices=(), series=taken, headers=headers,
                 refused=found.refused, lacking=lacking)


def _closed_off(series: StudySeries) -> str:
    if series.state is SeriesState.CLOSED:
        return ""
    word = {SeriesState.HELD: "held", SeriesState.CONFLICT: "in conflict"}.get(series.state, "not to be read")
    return f"it is {word}: {series.reason}"
