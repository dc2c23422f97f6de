"""What is ordered of a study on its page: the same orders as over HTTP."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fastapi import APIRouter, HTTPException, Request, Response

from radnode.node.pages.forms import Fields  # noqa: TC001 - FastAPI reads it
from radnode.node.pages.studies.timeline import Number, shown
from radnode.node.pages.words import N_
from radnode.node.studies.ordering import Action, Order
from radnode.node.web.access import Permission, needs
from radnode.node.web.studies import name_of
from radnode.storage.by_hand import NotPossible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from radnode.node.pages.frame import Frame
    from radnode.node.pages.site import Parts

SAID: Mapping[Action, str] = {
    Action.HOLD: N_("The study is held: no job of it starts."),
    Action.LET_GO: N_("The study is let go: its jobs wait for their turn."),
    Action.RUN_AGAIN: N_("Series that are judged and routed again within seconds: %(number)s"),
    Action.RUN: N_("Jobs that wait for their turn: %(number)s"),
    Action.AS_IT_IS: N_("The series will be closed as it is within seconds; its results say what was missing."),
    Action.DISCARD: N_("Discarded. The images stay until their time is over; what runs ends within ten seconds."),
    Action.RESEND: N_("Results that wait to be sent again: %(number)s"),
}


def router(parts: Parts, frame: Frame) -> APIRouter:
    """POST /studies/{study_id}/{action}."""
    pages = APIRouter(prefix="/studies", dependencies=[needs(Permission.ACT)])

    @pages.post("/{study_id}/{action}")
    def order(request: Request, study_id: Number, action: Action, asked: Fields) -> Response:
        """Take an order, and show the study as it is then."""
        ordered = Order(
            action=action, by=name_of(request), reason=asked.get("reason", ""), series=_number(asked.get("series")),
            job=_number(asked.get("job")), route=asked.get("route", ""),
            deliveries=tuple(filter(None, [_number(asked.get("delivery"))])),
        )
        try:
            number = parts.orders.take(study_id, ordered)
        except NotPossible as error:
            raise HTTPException(409, str(error)) from error
        answer = frame.part(request, "studies/content.html", **shown(parts, request, study_id))
        answer.headers["HX-Trigger"] = json.dumps({"said": frame.translated(request, SAID[action], number=number)})
        return answer

    return pages


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) <= 9 else None
