"""Takes what a person orders of a study, by the page, over HTTP or by command: one way for all three."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import select

from radnode.node.closing import new_job
from radnode.node.own_results import is_own_result
from radnode.node.retrieving.prior_wishes import want_priors
from radnode.storage import by_hand, catalog, jobs, outbox
from radnode.storage.by_hand import NotPossible
from radnode.storage.jobs import LeaseLost
from radnode.storage.outbox import OTHER_PATIENT, DeliveryState
from radnode.storage.tables import DeliveryRow, JobRow, SeriesRow, StudyRow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from sqlalchemy.orm import Session

    from radnode.config.loading import Configuration
    from radnode.config.routes import Route
    from radnode.pipelines.contract import Manifest
    from radnode.storage.database import Database

log = structlog.get_logger(__name__)

LONGEST_REASON = 500


class Action(StrEnum):
    """What can be ordered of a study."""

    HOLD = "hold"
    """No job of it starts."""
    LET_GO = "let-go"
    RUN_AGAIN = "run-again"
    """Judged and routed anew, by the configuration in force."""
    RUN = "run"
    """The pipelines of one route on one complete series, whatever the conditions of the route say."""
    AS_IT_IS = "process-as-is"
    """An incomplete series."""
    DISCARD = "discard"
    """An incomplete series, or a job that waits or runs."""
    RESEND = "resend"
    """Results, named or all that were given up."""


_NEEDS_REASON = frozenset({Action.AS_IT_IS, Action.DISCARD})


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """by: who orders it. series: row id or UID. deliveries: of results to send again; none: all that were given up."""

    action: Action
    by: str
    reason: str = ""
    series: int | str | None = None
    job: int | None = None
    route: str = ""
    deliveries: tuple[int, ...] = ()


class OrderDesk:
    """Takes orders."""

    def __init__(
        self, *, database: Database, configuration: Callable[[], Configuration],
        manifests: Callable[[], Mapping[str, Manifest]], now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._configuration = configuration
        self._manifests = manifests
        self._now = now
        self._takes: Mapping[Action, Callable[[Session, int, Order], int]] = {
            Action.HOLD: self._hold, Action.LET_GO: self._let_go, Action.RUN_AGAIN: self._run_again,
            Action.RUN: self._run, Action.AS_IT_IS: self._as_it_is, Action.DISCARD: self._discard,
            Action.RESEND: self._resend,
        }

    def take(self, study_id: int, order: Order) -> int:
        """How many series, jobs or results it concerns. Raises :class:`NotPossible`; then nothing was done."""
        order = replace(order, reason=" ".join(order.reason.split())[:LONGEST_REASON])
        if order.action in _NEEDS_REASON and not order.reason:
            raise NotPossible("say why: it stands in the timeline of the study")
        with self._database.begin() as session:
            if session.scalar(select(StudyRow.id).where(StudyRow.id == study_id)) is None:
                raise NotPossible("no such study was received")
            number = self._takes[order.action](session, study_id, order)
        log.info("study.ordered", action=order.action.value, study=study_id, by=order.by, number=number)
        return number

    def _hold(self, session: Session, study_id: int, order: Order) -> int:
        by_hand.hold(session, study_id, by=order.by, reason=order.reason, now=self._now())
        return 1

    def _let_go(self, session: Session, study_id: int, order: Order) -> int:
        by_hand.let_go(session, study_id, by=order.by, reason=order.reason, now=self._now())
        return 1

    def _run_again(self, session: Session, study_id: int, order: Order) -> int:
        return by_hand.run_again(session, study_id, by=order.by, reason=order.reason, now=self._now())

    def _as_it_is(self, session: Session, study_id: int, order: Order) -> int:
        series = _series(session, study_id, order)
        by_hand.close_as_it_is(session, study_id, series.id, by=order.by, reason=order.reason, now=self._now())
        return 1

    def _discard(self, session: Session, study_id: int, order: Order) -> int:
        if order.job is None:
            series = _series(session, study_id, order)
            by_hand.discard_series(session, study_id, series.id, by=order.by, reason=order.reason, now=self._now())
            return 1
        known = session.scalar(select(JobRow.id).where(JobRow.id == order.job, JobRow.study_id == study_id))
        if known is None:
            raise NotPossible("this study has no such job")
        try:
            jobs.discard(session, known, by=order.by, reason=order.reason, now=self._now())
        except LeaseLost as error:
            raise NotPossible("the job has ended, or changed just now; look again") from error
        return 1

    def _resend(self, session: Session, study_id: int, order: Order) -> int:
        which = (DeliveryRow.id.in_(order.deliveries),) if order.deliveries else (
            DeliveryRow.state == DeliveryState.DEAD, ~DeliveryRow.reason.startswith(OTHER_PATIENT))
        chosen = session.scalars(
            select(DeliveryRow.id).join(JobRow, JobRow.id == DeliveryRow.job_id)
            .where(JobRow.study_id == study_id, *which).order_by(DeliveryRow.id)
        ).all()
        resent = outbox.resend(session, chosen, self._now(), by=order.by, lost=True)
        if not resent:
            raise NotPossible("none of these can be sent again: they are on their way, were replaced by a later "
                              "revision, or refer to an object that did not arrive")
        return len(resent)

    def _run(self, session: Session, study_id: int, order: Order) -> int:
        configuration, manifests = self._configuration(), self._manifests()
        route = next((each for each in configuration.routes if each.name == order.route), None)
        if route is None:
            raise NotPossible("no such route is configured")
        _check_pipelines(route, manifests)
        series = _series(session, study_id, order)
        revision, repeat = by_hand.next_revision(session, study_id, series.id)
        headers = [each for each in catalog.headers(session, series.id) if not is_own_result(each.attributes)]
        if not headers:
            raise NotPossible("none of its images is here to be read")
        study_instance_uid = session.get_one(StudyRow, study_id).study_instance_uid
        for pipeline in dict.fromkeys(route.run):
            job = new_job(
                configuration, manifests[pipeline], [route], headers, study=(study_id, study_instance_uid),
                series_uids=[series.series_instance_uid], series_id=series.id, revision=revision, repeat=repeat,
            )
            job_id = jobs.insert_job(session, job, self._now())
            if job_id is not None and manifests[pipeline].priors:
                want_priors(session, configuration, [route], job_id, headers=headers, source=series.source,
                            now=self._now())
        catalog.add_event(session, "route ordered by hand", study_id=study_id, series_id=series.id, now=self._now(),
                          detail={"by": order.by, "reason": order.reason, "route": route.name})
        return len(set(route.run))


def _check_pipelines(route: Route, manifests: Mapping[str, Manifest]) -> None:
    if not route.run:
        raise NotPossible(f"route {route.name} runs no pipeline")
    if missing := [name for name in route.run if name not in manifests]:
        raise NotPossible(f"{', '.join(missing)} is not installed")
    if of_study := [name for name in route.run if manifests[name].of_study]:
        raise NotPossible(f"{', '.join(of_study)} reads several series of a study; let its route match and run again")


def _series(session: Session, study_id: int, order: Order) -> SeriesRow:
    which = SeriesRow.id if isinstance(order.series, int) else SeriesRow.series_instance_uid
    found = session.scalar(select(SeriesRow).where(SeriesRow.study_id == study_id, which == order.series))
    if found is None:
        raise NotPossible("name a series of this study")
    return found
