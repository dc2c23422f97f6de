"""The list of routes, in order: what each asks for, what it matched lately, what is odd; order, switches, deletion."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request, Response

from radnode.node.delivery.fallback import forms_for
from radnode.node.drafting import edits
from radnode.node.drafting.flags import flags
from radnode.node.drafting.order import deleted, moved
from radnode.node.pages.frame import Area, Frame
from radnode.node.pages.routes import building, trying, versions
from radnode.node.pages.routes.asking import Fields, one, ordered
from radnode.node.pages.routes.drafts import suggestions
from radnode.node.pages.routes.shown import conditions, flag_words
from radnode.node.pages.words import N_
from radnode.node.web.access import Permission, needs
from radnode.storage import route_history

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from radnode.node.pages.site import Parts

AREA = Area(path="/routes", label=N_("Routes"), permission=Permission.STATE)
DAYS = 7
_SWITCHES = {"enabled": True, "shadow": False}
_SAID = {
    ("enabled", True): N_("Route %(route)s is switched on."),
    ("enabled", False): N_("Route %(route)s is switched off."),
    ("shadow", True): N_("Route %(route)s runs in shadow: its results are kept and go to nobody."),
    ("shadow", False): N_("Route %(route)s sends its results."),
}


def router(parts: Parts, frame: Frame) -> APIRouter:
    """The pages of the area."""
    pages = APIRouter()

    def shown(request: Request) -> dict[str, Any]:
        say = partial(frame.translated, request)
        configuration = parts.configuration()
        with parts.database.read() as session:
            found = route_history.matches(
                session, [route.name for route in configuration.routes], parts.now() - timedelta(days=DAYS))
            forms = {name: forms_for(session, peer) for name, peer in configuration.destinations.items()}
        odd = flags(configuration.routes, parts.installed().manifests,
                    {name: each.last for name, each in found.items()}, forms)
        return {
            "routes": [
                {"route": route, "conditions": conditions(route.when, say), "matches": found[route.name],
                 "flags": [flag_words(each, say) for each in odd[route.name]]}
                for route in configuration.routes
            ],
            "seen": _seen(parts), "read_only": parts.desk.why_read_only(), "days": DAYS,
        }

    def renewed(request: Request, said: str) -> Response:
        answer = frame.part(request, "routes/list.html", **shown(request))
        answer.headers["HX-Trigger"] = json.dumps({"said": said})
        return answer

    @pages.get("/routes", dependencies=[needs(Permission.STATE)])
    def listed(request: Request) -> Response:
        """All routes."""
        return frame.page(request, "routes/page.html", **shown(request))

    @pages.post("/routes/order", dependencies=[needs(Permission.CONFIGURE)])
    def order(request: Request, fields: Fields) -> Response:
        """Put a route at another place."""
        name, to = one(fields, "route"), one(fields, "to")
        if not to.isdigit():
            raise HTTPException(400, "no place in the list")
        _replace(parts, request, lambda text: moved(text, name, int(to)), f"route {name} moved to place {int(to) + 1}",
                 fields)
        return renewed(request, frame.translated(request, N_("Route %(route)s was moved."), route=name))

    @pages.post("/routes/switch", dependencies=[needs(Permission.CONFIGURE)])
    def switch(request: Request, fields: Fields) -> Response:
        """Switch a route on or off, into shadow or out of it."""
        name, key, value = one(fields, "route"), one(fields, "key"), one(fields, "value") == "true"
        if key not in _SWITCHES:
            raise HTTPException(400, "nothing that can be switched")
        edit = edits.switch(name, key, value, _SWITCHES[key])
        author, note = request.app.state.identity(request).name, f"route {name}: {key} {str(value).lower()}"
        ordered(lambda: parts.desk.change(edit, author=author, note=note, seen=one(fields, "seen")))
        return renewed(request, frame.translated(request, _SAID[key, value], route=name))

    @pages.post("/routes/delete", dependencies=[needs(Permission.CONFIGURE)])
    def delete(request: Request, fields: Fields) -> Response:
        """Delete a route; its version stays."""
        name = one(fields, "route")
        _replace(parts, request, lambda text: deleted(text, name), f"route {name} deleted", fields)
        return renewed(request, frame.translated(
            request, N_("Route %(route)s is deleted; an earlier version has it."), route=name))

    @pages.get("/routes/keywords", dependencies=[needs(Permission.STATE)])
    def keywords(
        request: Request, asked: Annotated[str, Query(alias="line.attribute", max_length=64)] = ""
    ) -> Response:
        """Names of attributes that go on like this, for the list under a field."""
        return frame.part(request, "routes/keywords.html", keywords=suggestions(asked))

    pages.include_router(building.router(parts, frame))
    pages.include_router(trying.router(parts, frame))
    pages.include_router(versions.router(parts, frame))
    return pages


def _replace(
    parts: Parts, request: Request, edit: Callable[[str], str], note: str, fields: Mapping[str, list[str]]
) -> None:
    author = request.app.state.identity(request).name
    ordered(lambda: parts.desk.replace(
        edit(parts.desk.text()), author=author, note=note, seen=one(fields, "seen")))


def _seen(parts: Parts) -> str:
    return "" if parts.desk.why_read_only() else parts.desk.digest
