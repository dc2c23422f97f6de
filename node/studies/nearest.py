"""Of the routes that did not match, the one that came nearest, and what it lacked. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Why = Literal["no routes", "all disabled", "would match", "no image meets all", "another value", "no value"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """Why no route matched. condition, seen: of the first condition of the nearest route that was not met."""

    why: Why
    route: str = ""
    condition: str = ""
    seen: str = ""


def nearest(routings: Iterable[Sequence[Mapping[str, Any]]]) -> Lack:
    """Of several series the one with the route that lacked least; a disabled route only if it would have matched.

    routings: what :func:`radnode.node.routing.as_json` gives, series by series.
    """
    routes = [route for routing in routings for route in routing if route["instances"]]
    if not routes:
        return Lack(why="no routes")
    for route in routes:
        if not route["enabled"] and route["matching"]:
            return Lack(why="would match", route=route["route"])
    enabled = [route for route in routes if route["enabled"]]
    if not enabled:
        return Lack(why="all disabled")
    route = min(enabled, key=lambda each: len(_lacking(each)))
    lacking = _lacking(route)
    if not lacking:
        return Lack(why="no image meets all", route=route["route"])
    first = lacking[0]
    seen = ", ".join(first["seen"])
    return Lack(why="another value" if seen else "no value", route=route["route"], condition=first["condition"],
                seen=seen)


def _lacking(route: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [each for each in route["conditions"] if each["outcome"] != "met"]
