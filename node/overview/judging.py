"""From facts to what is shown of them. Pure; what is not known stays not known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from radnode.node.alarming.kinds import kind_of
from radnode.storage.present import Outgoing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from radnode.node.delivery.outages import Outage

Light = Literal["green", "amber", "red"]
Why = Literal["away", "given up", "alarm"]

ABOUT_DESTINATIONS = ("destination", "destination and form", "node or peer")
ABOUT_SOURCES = ("source", "folder", "archive", "node or peer")
"""What the subject of a kind of alarm is (`node/alarming/kinds.py`, `about`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a light is not green. text: as an alarm or an outage says it. number: of results, where it counts them."""

    why: Why
    light: Light
    since: datetime | None = None
    number: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationNow:
    """A destination: the worst of its reasons gives the light, green without one."""

    name: str
    light: Light
    reasons: tuple[Reason, ...]
    waiting: int
    oldest: datetime | None
    dead: int
    next_attempt_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceNow:
    """A source. last: when its last image came, None if none ever did."""

    name: str
    light: Light
    reasons: tuple[Reason, ...]
    last: datetime | None


def destinations(
    configured: Sequence[str], outages: Collection[Outage], outgoing: Mapping[str, Outgoing],
    standing: Collection[Mapping[str, Any]],
) -> list[DestinationNow]:
    """Each that is configured, then those that are not any more but still have results waiting or given up.

    standing: alarms as :meth:`~radnode.node.answers.Answers.alarms` gives them.
    """
    left = [name for name in sorted(outgoing) if name not in configured]
    away = {outage.destination: outage for outage in outages}
    return [_destination(name, away.get(name), outgoing.get(name, Outgoing()), standing)
            for name in (*configured, *left)]


def _destination(
    name: str, outage: Outage | None, queued: Outgoing, standing: Collection[Mapping[str, Any]]
) -> DestinationNow:
    reasons = []
    if outage is not None:
        reasons.append(Reason(why="away", light="red", since=outage.since, number=outage.failures, text=outage.reason))
    if queued.dead:
        reasons.append(Reason(why="given up", light="red", number=queued.dead))
    reasons += [reason for kind, reason in _alarms(name, standing, ABOUT_DESTINATIONS)
                if outage is None or kind != "destination"]
    return DestinationNow(
        name=name, reasons=tuple(reasons), light=worst(reason.light for reason in reasons), waiting=queued.waiting,
        oldest=queued.oldest, dead=queued.dead, next_attempt_at=outage.next_attempt_at if outage else None,
    )


def sources(
    configured: Sequence[str], last: Mapping[str, datetime], standing: Collection[Mapping[str, Any]]
) -> list[SourceNow]:
    """Each that is configured, in that order."""
    found = []
    for name in configured:
        reasons = tuple(reason for _, reason in _alarms(name, standing, ABOUT_SOURCES))
        found.append(SourceNow(name=name, light=worst(each.light for each in reasons), reasons=reasons,
                               last=last.get(name)))
    return found


def _alarms(
    name: str, standing: Collection[Mapping[str, Any]], about: Collection[str]
) -> Iterator[tuple[str, Reason]]:
    for alarm in standing:
        if kind_of(alarm["name"]).about in about and name in (alarm["subject"], alarm["subject"].partition(":")[0]):
            light: Light = "amber" if alarm["severity"] == "warning" else "red"
            yield alarm["kind"], Reason(why="alarm", light=light, text=alarm["text"],
                                        since=datetime.fromisoformat(alarm["since"]))


def worst(lights: Iterable[Light]) -> Light:
    """Red before amber before green."""
    found = set(lights)
    return "red" if "red" in found else "amber" if "amber" in found else "green"


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """The volume of the instance store. a_day: bytes received within 24 hours, None: not known yet.

    lasts_days: until the reserve is reached at that rate, if nothing is deleted; None: not known, or nothing came.
    kept_days: how long images are kept; enough: what comes in that time at that rate fits beside what is there.
    """

    free: int
    total: int
    reserve: int
    kept_days: float
    a_day: int | None
    lasts_days: float | None
    enough: bool


def space(*, free: int, total: int, reserve: int, a_day: int | None, kept_days: float) -> Space:
    """All in bytes. What is received now is deleted after `kept_days`, so more than that is never added."""
    usable = max(free - reserve, 0)
    lasts = usable / a_day if a_day else None
    return Space(free=free, total=total, reserve=reserve, kept_days=kept_days, a_day=a_day, lasts_days=lasts,
                 enough=a_day is not None and usable >= a_day * kept_days)


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The value that this share of the sorted values does not exceed (nearest rank); None of no values."""
    if not ordered:
        return None
    return ordered[max(math.ceil(len(ordered) * share), 1) - 1]
