"""The list of studies and the search. What is searched for of a patient comes in a form, never in an address."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import APIRouter, Request, Response

from radnode.node.pages.forms import Fields  # noqa: TC001 - FastAPI reads it
from radnode.node.pages.studies.sentences import LABELS, tone_of, why
from radnode.node.studies.searching import search
from radnode.node.studies.states import StudyState
from radnode.node.web.access import Permission, needs
from radnode.storage import study_search
from radnode.storage.study_search import LONGEST, STATES, Key, Wanted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from radnode.node.pages.frame import Frame
    from radnode.node.pages.site import Parts

QUICK = (StudyState.FAILED, StudyState.UNDELIVERED, StudyState.INCOMPLETE, StudyState.ON_HOLD, StudyState.WAITING,
         StudyState.NOT_PROCESSED, StudyState.NO_ROUTE)
"""What an administrator looks for first."""

TEXTS = ("accession_number", "patient_id", "patient_name", "uid", "modality", "source", "route")


def router(parts: Parts, frame: Frame) -> APIRouter:
    """GET for what is of nobody, POST for what may be."""
    pages = APIRouter(prefix="/studies")

    def found(request: Request, template: str, wanted: Wanted, after: Key | None, **more: Any) -> Response:
        with parts.database.read() as session:
            page = search(session, wanted, after)
            more = more and {**more, "choices": _choices(parts, study_search.known(session))}
        return frame.page(request, template, page=page, wanted=wanted, labels=LABELS, tone_of=tone_of, why=why,
                          cursor=_written(page.after) if page.after else "", **more)

    @pages.get("", dependencies=[needs(Permission.STUDIES)])
    def newest(request: Request, state: str = "", source: str = "", modality: str = "", route: str = "") -> Response:
        """The newest studies; in a state, from a source, of a modality, of a route: nothing of a patient."""
        wanted = _wanted({"state": state, "source": source, "modality": modality, "route": route})
        return found(request, "studies/list.html", wanted, None, quick=QUICK)

    @pages.post("/search", dependencies=[needs(Permission.STUDIES, reads=True)])
    def searched(request: Request, asked: Fields) -> Response:
        """What was searched for, or the page after one of it."""
        after = _read(asked.get("after", ""))
        return found(request, "studies/rows.html" if after else "studies/found.html", _wanted(asked), after)

    return pages


def _choices(parts: Parts, known: dict[str, list[str]]) -> dict[str, list[str]]:
    return {**known, "route": [route.name for route in parts.configuration().routes]}


def _wanted(asked: Mapping[str, str]) -> Wanted:
    """The form as it comes. zone: where who asks reads his clock, an IANA name. What is no date, no state or too long
    asks for nothing of its kind.
    """
    texts: dict[str, Any] = {name: asked.get(name, "").strip()[:LONGEST] for name in TEXTS}
    state, zone = asked.get("state", ""), asked.get("zone", "")
    return Wanted(
        **texts, state=state if state in STATES else "", since=_midnight(asked.get("since", ""), zone, days=0),
        until=_midnight(asked.get("until", ""), zone, days=1),
    )


def _midnight(day: str, zone: str, *, days: int) -> datetime | None:
    """The beginning of a day, or of the next one, where who asks is; None for no day."""
    try:
        named = ZoneInfo(zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        named = ZoneInfo("UTC")
    with suppress(ValueError, OverflowError):
        first = date.fromisoformat(day) + timedelta(days=days)
        return datetime(first.year, first.month, first.day, tzinfo=named)
    return None


def _written(key: Key) -> str:
    return f"{key.at.isoformat()} {key.study_id}"


def _read(text: str) -> Key | None:
    with suppress(ValueError, OverflowError):
        at, _, number = text.partition(" ")
        moment = datetime.fromisoformat(at)
        return Key(moment, int(number[:12])) if moment.tzinfo else None
    return None
