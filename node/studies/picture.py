"""A study's time as bars in lanes. Pure: rows in, positions out.

Time is drawn to scale where something happens; a pause that would leave no room for it is cut to a mark.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Lane = Literal["received", "judged", "waiting", "running", "sending"]
LANES: tuple[Lane, ...] = ("received", "judged", "waiting", "running", "sending")
WIDTH = 1000.0
NARROWEST = 4.0
"""A bar that can be seen."""
PAUSE = 34.0
"""What a cut pause takes."""
SHORTEST_CUT = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Something that took time. until: None while it lasts. tone: as of a badge."""

    lane: Lane
    since: datetime
    until: datetime | None
    name: str
    tone: str = "idle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A span at its place. x, width: of WIDTH."""

    span: Span
    x: float
    width: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """bars: by lane. pauses: where time was cut, and how many seconds."""

    bars: Mapping[Lane, Sequence[Bar]]
    pauses: Sequence[tuple[float, float]]
    since: datetime
    until: datetime


def spans_of(study: Mapping[str, Any]) -> list[Span]:
    """Of what :meth:`radnode.node.answers.Answers.study` gives."""
    found: list[Span] = []
    for series in study["series"]:
        name = f"{series['modality'] or '?'}, {series['instances']}"
        found.append(_span("received", series["first_received_at"], series["last_received_at"], name, "good"))
        tone = {"OPEN": "busy", "CLOSED": "good"}.get(series["state"], "warning")
        decided = None if series["state"] == "OPEN" else series["closed_at"]
        found.append(_span("judged", series["last_received_at"], decided, name, tone))
    for job in study["jobs"]:
        found += _spans_of_job(job)
    for each in study["deliveries"]:
        found += _spans_of_delivery(each)
    return found


def _spans_of_job(job: Mapping[str, Any]) -> list[Span]:
    name = f"{job['pipeline']} ({job['job']})"
    over = job["state"] not in ("WAITING", "RUNNING")
    began = job["started_at"] if job["attempts"] else None
    found = [_span("waiting", job["created_at"], began or (job["ended_at"] if over else None), name, "busy")]
    if began is not None and job["state"] != "WAITING":
        tone = {"PRODUCED": "good", "SUPERSEDED": "idle", "FAILED": "bad", "RUNNING": "busy"}
        found.append(_span("running", began, job["ended_at"], name, tone.get(job["state"], "warning")))
    return found


def _spans_of_delivery(delivery: Mapping[str, Any]) -> list[Span]:
    state = delivery["state"]
    if state in ("WITHDRAWN", "REPLACED"):
        return []
    tone = {"CONFIRMED": "good", "SENT": "good", "DEAD": "bad"}.get(state, "busy")
    until = delivery["confirmed_at"] or delivery["sent_at"] or (delivery["since"] if state == "DEAD" else None)
    return [_span("sending", delivery["since"], until, f"{delivery['form']} → {delivery['destination']}", tone)]


def draw(spans: Iterable[Span], now: datetime) -> Picture | None:
    """None where nothing has happened."""
    known = [(each, each.since, max(each.until or now, each.since)) for each in spans]
    if not known:
        return None
    busy = _together([(since, until) for _, since, until in known])
    gaps = [(first[1], second[0]) for first, second in itertools.pairwise(busy)]
    active = sum(((until - since) for since, until in busy), timedelta())
    cut = [(since, until) for since, until in gaps if until - since > max(active / 4, SHORTEST_CUT)]
    left = (busy[-1][1] - busy[0][0]) - sum(((until - since) for since, until in cut), timedelta())
    scale = (WIDTH - PAUSE * len(cut) - NARROWEST) / max(left.total_seconds(), 0.001)

    def place(at: datetime) -> float:
        passed = [(since, until) for since, until in cut if until <= at]
        seconds = (at - busy[0][0]).total_seconds() - sum((until - since).total_seconds() for since, until in passed)
        return seconds * scale + PAUSE * len(passed)

    bars: dict[Lane, list[Bar]] = {lane: [] for lane in LANES}
    for span, since, until in known:
        width = max(place(until) - place(since), NARROWEST)
        bars[span.lane].append(Bar(span=span, x=round(place(since), 1), width=round(width, 1),
                                   seconds=(until - since).total_seconds()))
    pauses = [(round(place(since), 1), (until - since).total_seconds()) for since, until in cut]
    return Picture(bars=bars, pauses=pauses, since=busy[0][0], until=busy[-1][1])


def _together(intervals: list[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """When anything happened, in order, without overlaps."""
    found: list[tuple[datetime, datetime]] = []
    for since, until in sorted(intervals):
        if found and since <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], until))
        else:
            found.append((since, until))
    return found


def _span(lane: Lane, since: str, until: str | None, name: str, tone: str) -> Span:
    ended = None if until is None else datetime.fromisoformat(until)
    return Span(lane=lane, since=datetime.fromisoformat(since), until=ended, name=name, tone=tone)
