"""Alarms: what is wrong, what was, and the silence that somebody orders."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, HTTPException, Query, Request, Response

from radnode.node.alarming.kinds import KINDS, kind_of
from radnode.node.alarming.silencing import NotSilenced, silence, tell_again
from radnode.node.pages.frame import Area, Frame
from radnode.node.pages.overview import SEVERITIES
from radnode.node.pages.words import N_
from radnode.node.web.access import Permission, needs
from radnode.node.web.login import Form  # noqa: TC001 - FastAPI reads it
from radnode.storage import alarms as kept

if TYPE_CHECKING:
    from collections.abc import Mapping

    from radnode.node.pages.site import Parts

AREA = Area(path="/alarms", label=N_("Alarms"), permission=Permission.STATE)

AT_ONCE = 50
LASTS: Mapping[str, tuple[str, timedelta]] = {
    "1": (N_("1 hour"), timedelta(hours=1)), "8": (N_("8 hours"), timedelta(hours=8)),
    "24": (N_("1 day"), timedelta(days=1)), "168": (N_("7 days"), timedelta(days=7)),
}
"""For how long an alarm may be silenced, by the value of the form."""
SILENCED = N_("%(name)s is silent. It stays on this page and ends by itself.")
TOLD_AGAIN = N_("%(name)s is told again.")


def router(parts: Parts, frame: Frame) -> APIRouter:
    """The page and its two actions."""
    pages, actions = APIRouter(dependencies=[needs(Permission.STATE)]), APIRouter(dependencies=[needs(Permission.ACT)])

    def standing(request: Request, said: str) -> Response:
        answer = frame.part(request, "alarms/standing.html", alarms=parts.answers.alarms(), severities=SEVERITIES,
                            lasts=LASTS)
        answer.headers["HX-Trigger"] = json.dumps({"said": said})
        return answer

    @pages.get("/alarms")
    def alarms(request: Request, page: Annotated[int, Query(ge=1, le=1000)] = 1) -> Response:
        """What stands, and what was cleared within 90 days."""
        with parts.database.read() as session:
            cleared, more = kept.cleared(session, page, AT_ONCE)
        return frame.page(
            request, "alarms/page.html", alarms=parts.answers.alarms(), severities=SEVERITIES, lasts=LASTS,
            cleared=[(alarm, kind_of(alarm.name)) for alarm in cleared], number=page, more=more, kinds=KINDS.values(),
        )

    @actions.post("/alarms/silence")
    def be_silent(request: Request, fields: Form) -> Response:
        """Nobody is told for a time."""
        name, lasts = fields.get("name", ""), LASTS.get(fields.get("lasts", ""))
        if lasts is None:
            raise HTTPException(422, "choose for how long")
        try:
            silence(parts.database, name, lasts=lasts[1], reason=fields.get("reason", ""), who=_who(request),
                    now=parts.now())
        except NotSilenced as error:
            raise HTTPException(422, str(error)) from error
        return standing(request, frame.translated(request, SILENCED, name=name))

    @actions.post("/alarms/tell")
    def tell(request: Request, fields: Form) -> Response:
        """The silence ends now."""
        name = fields.get("name", "")
        tell_again(parts.database, name, who=_who(request))
        return standing(request, frame.translated(request, TOLD_AGAIN, name=name))

    both = APIRouter()
    both.include_router(pages)
    both.include_router(actions)
    return both


def _who(request: Request) -> str:
    return str(request.app.state.identity(request).name)
