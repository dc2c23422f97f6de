"""A draft of a route on the series that came lately: which it would match, and what would run otherwise."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from radnode.node import routing
from radnode.node.messaging.matching import CONTEXT
from radnode.node.own_results import is_own_result
from radnode.storage import route_history

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from radnode.config.routes import Route
    from radnode.node.routing import RouteExplanation
    from radnode.storage.route_history import SeriesSeen

MOST = 2000
EXAMPLES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """The series that came since a time, without our own results; `more`: these are only the newest of them."""

    days: int
    series: tuple[SeriesSeen, ...]
    more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What one route would have made of the past.

    because, lacking: condition -> series that fail it, and series where its tag says nothing.
    """

    matches: tuple[SeriesSeen, ...]
    fails: tuple[SeriesSeen, ...]
    unknown: tuple[SeriesSeen, ...]
    because: tuple[tuple[str, int], ...]
    lacking: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A pipeline that would run on other series. seconds: of all jobs together in a day, None if not measured."""

    pipeline: str
    begins: tuple[SeriesSeen, ...]
    ends: tuple[SeriesSeen, ...]
    jobs_a_day: float
    minutes_a_day: float | None


def past(session: Session, now: datetime, days: int, most: int = MOST) -> Past:
    """The series of the last days, the newest of them."""
    found, more = route_history.newest(session, now - timedelta(days=days), most)
    foreign = tuple(each for each in found if not all(is_own_result(header) for header in each.headers))
    return Past(days=days, series=foreign, more=more)


def judged(route: Route, series: SeriesSeen) -> RouteExplanation:
    """Why a route would run on a series, by its first and its last image."""
    explained, = routing.explain((route,), *_known(series))
    return explained


def _known(series: SeriesSeen) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """What a route may ask of it: its images, and what is said beside them."""
    context = {"source": series.source,
               **{f"order_{name}": str(series.context[name]) for name in CONTEXT if series.context.get(name)}}
    return [each for each in series.headers if not is_own_result(each)], context


def tried(route: Route, history: Past) -> Trial:
    """The past as this route sees it, as if it were enabled."""
    groups: dict[str, list[SeriesSeen]] = {"met": [], "not met": [], "unknown": []}
    because: Counter[str] = Counter()
    lacking: Counter[str] = Counter()
    for series in history.series:
        explained = judged(route, series)
        outcomes = {each.condition: each.outcome for each in explained.conditions}
        if explained.matching:
            groups["met"].append(series)
        elif "not met" in outcomes.values() or "unknown" not in outcomes.values():
            groups["not met"].append(series)
            because.update(each for each, outcome in outcomes.items() if outcome == "not met")
        else:
            groups["unknown"].append(series)
            lacking.update(each for each, outcome in outcomes.items() if outcome == "unknown")
    return Trial(
        matches=tuple(groups["met"]), fails=tuple(groups["not met"]), unknown=tuple(groups["unknown"]),
        because=tuple(because.most_common()), lacking=tuple(lacking.most_common()),
    )


def changes(
    present: Sequence[Route], proposed: Sequence[Route], history: Past, seconds: Mapping[str, float | None],
    of_study: Collection[str] = (),
) -> list[Change]:
    """What would run that does not, and the reverse, by pipeline. seconds: what a job of each takes.

    of_study: pipelines of which a job reads a study, not a series.
    """
    begins: dict[str, list[SeriesSeen]] = {}
    ends: dict[str, list[SeriesSeen]] = {}
    gone, new = ([each for each in some if each not in others]
                 for some, others in ((present, proposed), (proposed, present)))
    both = [each for each in present if each in proposed]
    for series in history.series:
        images = routing.said(*_known(series))
        before, after = ({name for each in some if routing.matches(each, images) for name in each.run}
                         for some in (gone, new))
        for name in before ^ after:
            if not any(name in each.run and routing.matches(each, images) for each in both):
                (begins if name in after else ends).setdefault(name, []).append(series)
    return [
        _change(name, begins.get(name, ()), ends.get(name, ()), span_days(history), seconds.get(name),
                name in of_study)
        for name in sorted({*begins, *ends})
    ]


def span_days(history: Past) -> float:
    """How many days the series were taken from: fewer than asked for where there were more series than are tried."""
    if not history.more or not history.series:
        return float(history.days)
    span = history.series[0].received_at - history.series[-1].received_at
    return max(span / timedelta(days=1), 1 / 24)


def _change(
    pipeline: str, begins: Sequence[SeriesSeen], ends: Sequence[SeriesSeen], days: float, seconds: float | None,
    of_study: bool,
) -> Change:
    more, fewer = ((len({each.study_id for each in some}) if of_study else len(some)) for some in (begins, ends))
    jobs = (more - fewer) / days
    return Change(pipeline=pipeline, begins=tuple(begins), ends=tuple(ends), jobs_a_day=jobs,
                  minutes_a_day=None if seconds is None else jobs * seconds / 60)
