"""Orders that come after their images were routed: the routes that ask for an order are asked again.

Only a route that asks for what an order says, and now matches, counts. No other route is asked, and nothing that runs
or ran is undone: an order that is changed or withdrawn later takes no result back.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import structlog

from radnode.config.routes import asks_for_order
from radnode.node import closing, routing
from radnode.node.deidentifying.planning import is_outside, send_on
from radnode.node.messaging import contexts
from radnode.node.monitoring.corrections import CORRECTS
from radnode.node.own_results import is_own_result
from radnode.storage import catalog, fetches, orders, studies

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from radnode.config.loading import Configuration
    from radnode.config.routes import Route
    from radnode.node.routing import RouteExplanation
    from radnode.pipelines.contract import Manifest
    from radnode.storage.catalog import InstanceHeader, SeriesSnapshot
    from radnode.storage.database import Database

log = structlog.get_logger(__name__)


class LateOrders:
    """`step` looks at studies of whose orders there is news. On the thread that closes series: between the two nothing
    is missed.
    """

    def __init__(
        self, *, database: Database, configuration: Callable[[], Configuration],
        manifests: Callable[[], Mapping[str, Manifest]], now: Callable[[], datetime], on_jobs: Callable[[], None],
    ) -> None:
        self._database = database
        self._configuration = configuration
        self._manifests = manifests
        self._now = now
        self._on_jobs = on_jobs

    def step(self) -> bool:
        """Always False: all that there is, is looked at."""
        with self._database.read() as session:
            waiting = orders.with_news(session)
        for study_id in waiting:
            with self._database.begin() as session:
                matched = self._look_at(session, study_id)
            if matched:
                log.info("order.late", study=study_id, routes=matched)
                self._on_jobs()
        return False

    def _look_at(self, session: Session, study_id: int) -> list[str]:
        """The routes that match now, of all series of the study."""
        orders.take_news(session, study_id)
        routes = [route for route in self._configuration().routes if asks_for_order(route)]
        if not routes or fetches.is_prior(session, study_id):
            return []
        said, matched = contexts.recorded(session, study_id), []
        for series in catalog.closed_series(session, study_id):
            if series.study_conflict or is_outside(self._configuration(), series.source):
                continue
            headers = [each for each in catalog.headers(session, series.series_id)
                       if each.reason != CORRECTS and not is_own_result(each.attributes)]
            matched += self._ask(session, series, headers, routes, {"source": series.source, **said})
        return list(dict.fromkeys(matched))

    def _ask(
        self, session: Session, series: SeriesSnapshot, headers: Sequence[InstanceHeader], routes: Sequence[Route],
        context: Mapping[str, str],
    ) -> list[str]:
        recorded = catalog.routing_of(session, series)
        explained = routing.explain(routes, [each.attributes for each in headers], context)
        fresh = newly_matched(recorded, explained)
        if not fresh or catalog.expired(session, series.series_id):  # what is left of a series is not read
            return []
        configuration, manifests, now = self._configuration(), self._manifests(), self._now()
        by_name = {each.route: asdict(each) for each in fresh}
        kept = [by_name.pop(each["route"], each) for each in recorded]
        catalog.amend_routing(session, series, [*kept, *by_name.values()], now)
        send_on(session, configuration, series.source, fresh, [each.instance_id for each in headers], now)
        asked = routing.asked(configuration.routes, fresh)
        ran = closing.ask(session, configuration, manifests, series, headers, asked, now=now)
        if any(manifests[pipeline].of_study for pipeline in asked):
            studies.ask(session, series.study_id, first=True)
        names = [each.route for each in fresh]
        catalog.add_event(
            session, "routes asked again", now=now, study_id=series.study_id, series_id=series.series_id,
            detail={"routes": names, "reason": why(names, ran)},
        )
        return names


def newly_matched(
    recorded: Sequence[Mapping[str, object]], explained: Sequence[RouteExplanation]
) -> list[RouteExplanation]:
    """The routes that match now and did not when the series was routed. Pure."""
    before = {each["route"] for each in recorded if each.get("matched")}
    return [each for each in explained if each.matched and each.route not in before]


def why(routes: Sequence[str], ran: Sequence[str]) -> str:
    """In a sentence. ran: pipelines that had read these images already, for another route. Pure."""
    said = f"its order came after the series was complete; it matches {', '.join(routes)} now"
    if not ran:
        return said
    return (f"{said}. {', '.join(ran)} had read these images for another route: it does not run again, and its results "
            "go where that one sends them")
