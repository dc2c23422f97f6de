"""What is odd about a list of routes. Pure; each flag names the route that it is about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from radnode.config.routes import PRIORITIES, Test

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from radnode.config.routes import Route
    from radnode.pipelines.contract import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """kind: one of those below. values: what its sentence names."""

    kind: str
    values: Mapping[str, str] = field(default_factory=dict)


NEVER = "never"
"""It has matched no series that the node remembers."""
TWICE = "twice"
"""Another enabled route sends the results of the same pipeline to the same destination; it runs once."""
COVERED = "covered"
"""Whatever it asks for, another route asks for already under fewer conditions."""
NO_PIPELINE = "no pipeline"
"""It names a pipeline that is not installed or not usable."""
MODALITY = "modality"
"""A pipeline reads another modality than the route asks for."""
NO_FORM = "no form"
"""A destination is known to refuse every form that it is configured to get."""


def flags(
    routes: Sequence[Route], manifests: Mapping[str, Manifest], last_matched: Mapping[str, datetime | None],
    forms: Mapping[str, Sequence[str]],
) -> dict[str, list[Flag]]:
    """Route -> its flags. forms: destination -> the forms that it still takes."""
    return {route.name: [
        *([Flag(kind=NEVER)] if route.enabled and last_matched.get(route.name) is None else []),
        *_covered(route, routes), *_twice(route, routes), *_pipelines(route, manifests), *_no_form(route, forms),
    ] for route in routes}


def _others(route: Route, routes: Sequence[Route]) -> list[Route]:
    if not route.enabled:
        return []
    return [each for each in routes if each.enabled and each.name != route.name and each.shadow == route.shadow]


def _twice(route: Route, routes: Sequence[Route]) -> Iterator[Flag]:
    for other in _others(route, routes):
        runs, sends = [each for each in route.run if each in other.run], [e for e in route.send if e in other.send]
        if runs and sends and not _excludes(route, other):
            yield Flag(kind=TWICE, values={"route": other.name, "pipelines": ", ".join(runs),
                                           "destinations": ", ".join(sends)})


def _covered(route: Route, routes: Sequence[Route]) -> Iterator[Flag]:
    for other in _others(route, routes):
        wider = set(other.when) <= set(route.when)
        same = set(other.when) == set(route.when)
        asks = set(route.run) <= set(other.run) and set(route.send) <= set(other.send)
        asks = asks and set(route.forward) <= set(other.forward)
        not_more = PRIORITIES.index(route.priority) >= PRIORITIES.index(other.priority) and route.within is None
        earlier = [each.name for each in routes].index(other.name) < [each.name for each in routes].index(route.name)
        if wider and asks and not_more and (earlier or not same):
            yield Flag(kind=COVERED, values={"route": other.name})
            return


def _pipelines(route: Route, manifests: Mapping[str, Manifest]) -> Iterator[Flag]:
    modalities = _modalities(route)
    for name in route.run:
        if name not in manifests:
            yield Flag(kind=NO_PIPELINE, values={"pipeline": name})
            continue
        reads = {manifests[name].modality, *(each.modality for each in manifests[name].inputs)}
        if modalities and not modalities & reads:
            yield Flag(kind=MODALITY, values={
                "pipeline": name, "reads": ", ".join(sorted(reads)), "asked": ", ".join(sorted(modalities))})


def _no_form(route: Route, forms: Mapping[str, Sequence[str]]) -> Iterator[Flag]:
    for name in route.send:
        if name in forms and not forms[name]:
            yield Flag(kind=NO_FORM, values={"destination": name})


def _modalities(route: Route) -> set[str]:
    """What the route's own conditions on the modality allow; empty if they allow anything."""
    allowed: set[str] = set()
    for test in route.when:
        if isinstance(test, Test) and test.attribute == "Modality" and test.operator in ("is", "in"):
            given = test.operand if isinstance(test.operand, tuple) else (test.operand,)
            allowed |= {str(each).strip().upper() for each in given}
    return allowed


def _excludes(one: Route, other: Route) -> bool:
    """Whether no image can meet both: they ask for other modalities."""
    first, second = _modalities(one), _modalities(other)
    return bool(first and second and not first & second)
