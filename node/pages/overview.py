"""The overview: what happens now, kept up to date by events that the server sends."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import StreamingResponse

from radnode.node.overview.gathering import Gathering, Overview
from radnode.node.overview.history import LONGEST_DAYS, History
from radnode.node.overview.hub import NEWS_WITHIN_S, Failed, Hub
from radnode.node.pages.frame import Area, Frame
from radnode.node.pages.studies.sentences import LABELS, STAGES, tone_of
from radnode.node.pages.words import N_, language_of
from radnode.node.web.access import Identity, Permission, needs
from radnode.node.web.identities import EVENTS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from radnode.node.pages.site import Parts

AREA = Area(path="/", label=N_("Overview"), permission=Permission.STATE)

LIVE = ("alarms", "studies", "queue", "workers", "destinations", "sources", "ledger", "disk")
"""The parts of the page, each a template of `overview/` and an event of its name."""
ASK_AGAIN_S = 30.0
"""How often it is looked whether who listens is still somebody who may."""
RETRY_MS = 3000
Days = Annotated[int, Query(ge=1, le=LONGEST_DAYS)]

LIGHTS = {"green": (N_("well"), "good"), "amber": (N_("look at it"), "warning"), "red": (N_("trouble"), "bad")}
SEVERITIES = {"critical": (N_("critical"), "bad"), "error": (N_("error"), "bad"), "warning": (N_("warning"), "warning")}
PRIORITIES = {0: N_("urgent"), 10: N_("routine"), 20: N_("low")}
LEDGER_STATES = {
    "RECEIVED": N_("received"), "IN_JOB": N_("in a job"), "PROCESSED": N_("processed"),
    "NOT_PROCESSED": N_("not processed"), "FAILED": N_("failed"), "NOT_ROUTED": N_("no route"),
    "OWN_RESULT": N_("own result"), "INCOMPLETE": N_("incomplete"), "CONFLICT": N_("conflict"),
    "QUARANTINED": N_("quarantined"), "EXPIRED": N_("deleted after its time"),
}
WORDS: Mapping[str, Any] = {
    "study_states": LABELS, "tone_of": tone_of, "lights": LIGHTS, "severities": SEVERITIES, "priorities": PRIORITIES,
    "stages": STAGES, "ledger_states": LEDGER_STATES,
}


class Fragments:
    """The parts of an overview as HTML, rendered once for all who see the same."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._lock = threading.Lock()
        self._of: Overview | None = None
        self._made: dict[tuple[str, frozenset[Permission]], dict[str, str]] = {}

    def made(self, request: Request, overview: Overview) -> dict[str, str]:
        """Part -> HTML, in the language of who asks, with no more in it than he may see."""
        identity: Identity | None = request.app.state.identity(request)
        key = language_of(request), identity.permissions if identity else frozenset()
        with self._lock:
            if self._of is not overview:
                self._of, self._made = overview, {}
            if key not in self._made:
                self._made[key] = {
                    part: self._frame.text(request, f"overview/{part}.html", now=overview, words=WORDS) for part in LIVE
                }
            return self._made[key]


def router(parts: Parts, frame: Frame) -> APIRouter:
    """The page, its events, and the figures of its charts."""
    pages = APIRouter(dependencies=[needs(Permission.STATE)])
    history, fragments = History(parts.database, parts.now), Fragments(frame)
    gathering = Gathering(
        database=parts.database, store=parts.store, answers=parts.answers, configuration=parts.configuration,
        running=parts.running, workers=parts.workers, outages=parts.outages, now=parts.now, history=history,
    )
    hub = Hub(gathering.look)
    parts.before_stop.append(hub.close)

    @pages.get("/")
    def overview(request: Request) -> Response:
        """Everything, as it is now."""
        _note_who_sees_patients(request)
        now = hub.now()
        return frame.page(request, "overview/page.html", now=now, made=fragments.made(request, now), live=LIVE)

    @pages.get("/events")
    async def events(request: Request) -> Response:
        """What changes, part by part (HTML Living Standard 9.2). Only for who asks for events."""
        if request.headers.get("accept") != EVENTS:
            raise HTTPException(406, f"this is a stream of events: ask for {EVENTS}")
        if hub.is_full:
            raise HTTPException(503, "too many pages are open", headers={"Retry-After": "30"})
        await hub.in_thread(lambda: _note_who_sees_patients(request))
        return StreamingResponse(
            _told(request, hub, fragments), media_type=EVENTS, headers={"X-Accel-Buffering": "no"}
        )

    @pages.get("/overview/series")
    def series(days: Days = 1) -> dict[str, Any]:
        """The figures of the charts, an hour each."""
        return history.series(days)

    @pages.get("/overview/hours")
    def hours(request: Request, days: Days = 1) -> Response:
        """The same as a table, for who sees no charts."""
        series = history.series(days)
        moments = [datetime.fromtimestamp(at, UTC) for at in series["at"]]
        return frame.part(request, "overview/hours.html", series=series, moments=moments)

    return pages


async def _told(request: Request, hub: Hub, fragments: Fragments) -> AsyncGenerator[str]:
    """Events for one page. It ends with the node, and when who listens has gone or may see less."""
    may = _permissions(request)
    asked_s, beaten_s = time.monotonic(), -NEWS_WITHIN_S
    sent: dict[str, str] = {}
    yield f"retry: {RETRY_MS}\n\n"
    async for latest in hub.watch():
        if time.monotonic() - asked_s >= ASK_AGAIN_S:
            asked_s = time.monotonic()
            identity = await hub.in_thread(lambda: request.app.state.still(request))
            if identity is None or identity.permissions != may:
                yield _event("ended", "")
                return
        if isinstance(latest, Overview):
            made = await hub.in_thread(lambda at=latest: fragments.made(request, at))  # type: ignore[misc]
            made = {**made, "series": json.dumps(latest.series, separators=(",", ":"))}
            for part in made.keys() - {name for name, text in sent.items() if made.get(name) == text}:
                yield _event(part, made[part])
            sent = made
        if isinstance(latest, Failed):
            yield _event("beat", "")
        elif latest is None:
            yield ": here\n\n"
        elif time.monotonic() - beaten_s >= NEWS_WITHIN_S:
            beaten_s = time.monotonic()
            yield _event("beat", latest.at.isoformat(timespec="seconds"))


def _event(name: str, data: str) -> str:
    lines = "".join(f"data: {line}\n" for line in data.splitlines() or [""])
    return f"event: {name}\n{lines}\n"


def _permissions(request: Request) -> frozenset[Permission]:
    identity: Identity | None = request.app.state.identity(request)
    return identity.permissions if identity else frozenset()


def _note_who_sees_patients(request: Request) -> None:
    """The overview names patients to who may know them: that is audited like a search."""
    if Permission.STUDIES in _permissions(request):
        request.app.state.permits(request, Permission.STUDIES)
