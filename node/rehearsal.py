"""Routes tried on the series that came last, before they are in force: what would run that does not, and the reverse.

Nothing is written, and nothing is judged but the routes: a series that was held or contradicts itself runs nothing,
whatever its routes say.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from radnode.node import routing
from radnode.node.messaging import contexts
from radnode.node.own_results import is_own_result
from radnode.storage import catalog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from radnode.config.routes import Route
    from radnode.storage.catalog import PastSeries


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A series whose images would be answered otherwise. ends, begins: (route, pipeline) pairs."""

    series: PastSeries
    ends: tuple[tuple[str, str], ...]
    begins: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What the routes would have made of the past.

    matched: new route -> series it matches, every enabled one. twice: series whose pipeline several routes ask for,
    which is run once.
    """

    series: int
    matched: dict[str, int]
    differences: tuple[Difference, ...]
    twice: int

    def remarks(self) -> list[str]:
        """What an administrator should look at twice."""
        found = [f"{route} matches none of them" for route, number in self.matched.items() if not number]
        if self.series > 1:
            found += [f"{route} matches every one" for route, number in self.matched.items() if number == self.series]
        if self.twice:
            found.append(f"in {self.twice} series several routes ask for the same pipeline; it runs once")
        return found if self.series else ["there is no past series to try them on"]


def rehearse(session: Session, present: Sequence[Route], proposed: Sequence[Route], newest: int) -> Rehearsal:
    """Judge the `newest` series that still have their headers by both sets of routes."""
    matched = Counter({route.name: 0 for route in proposed if route.enabled})
    differences, tried, twice = [], 0, 0
    for series in catalog.newest_series(session, newest):
        headers = [each.attributes for each in catalog.headers(session, series.series_id)]
        foreign = [each for each in headers if not is_own_result(each)]
        if not foreign:
            continue
        tried += 1
        context = {"source": series.source, **contexts.recorded(session, series.study_id)}
        before, after = (_runs(routes, foreign, context) for routes in (present, proposed))
        matched.update({name for name, _ in after})
        twice += max(Counter(pipeline for _, pipeline in after).values(), default=0) > 1
        if before != after:
            differences.append(
                Difference(series=series, ends=tuple(sorted(before - after)), begins=tuple(sorted(after - before)))
            )
    return Rehearsal(series=tried, matched=dict(matched), differences=tuple(differences), twice=twice)


def _runs(
    routes: Sequence[Route], images: Sequence[dict[str, object]], context: dict[str, str]
) -> set[tuple[str, str]]:
    explained = routing.explain(routes, images, context)
    names = {each.route for each in explained if each.matched}
    return {(route.name, pipeline) for route in routes if route.name in names for pipeline in route.run}
