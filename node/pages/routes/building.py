"""A route is written: its form, the YAML of it, and what it would have made of the last days."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request, Response

from radnode.config.document import read_document
from radnode.config.routes import OPERATORS, PRIORITIES
from radnode.node.drafting import edits, history
from radnode.node.drafting.flags import NEVER, flags
from radnode.node.drafting.form import GROUPS, KEPT, RouteForm, acted, form_of, section_of, yaml_of
from radnode.node.pages.routes.asking import Fields, form_in, one, ordered
from radnode.node.pages.routes.drafts import COMMON, FIELDS, MEANINGS, Memory, by_field, changes, examined, in_place
from radnode.node.pages.routes.shown import GROUP_WORDS, OPERATOR_WORDS, flag_words
from radnode.node.web.access import Permission, needs

if TYPE_CHECKING:
    from radnode.node.pages.frame import Frame
    from radnode.node.pages.site import Parts

SPANS = (1, 7, 30)
"""Days that a draft may be tried on."""


def router(parts: Parts, frame: Frame) -> APIRouter:
    """The form, its parts, and saving."""
    pages = APIRouter()
    memory = Memory(parts)

    def page(request: Request, form: RouteForm, original: str) -> Response:
        why = parts.desk.why_read_only()
        return frame.page(request, "routes/build.html", form=form, original=original, read_only=why,
                          seen="" if why else parts.desk.digest, **_choices(parts))

    @pages.get("/routes/new", dependencies=[needs(Permission.CONFIGURE)])
    def new(request: Request, copy: Annotated[str, Query(max_length=200)] = "") -> Response:
        """An empty form, or a copy of a route under another name."""
        if not copy:
            return page(request, RouteForm(), "")
        form = form_of(_section(parts, copy))
        return page(request, _renamed(form, {each.name for each in parts.configuration().routes}), "")

    @pages.get("/routes/edit", dependencies=[needs(Permission.CONFIGURE)])
    def edit(request: Request, route: Annotated[str, Query(max_length=200)]) -> Response:
        """The form of a route."""
        return page(request, form_of(_section(parts, route)), route)

    @pages.post("/routes/form", dependencies=[needs(Permission.STATE)])
    def lines(request: Request, fields: Fields) -> Response:
        """The conditions after a button: one more, or one less."""
        form = form_in(fields)
        after = acted(form.lines, one(fields, "act"))
        fresh = next((n for n, each in enumerate(after) if n >= len(form.lines) or each != form.lines[n]), -1)
        return frame.part(request, "routes/conditions.html", lines=after, fresh=fresh, **_choices(parts))

    @pages.post("/routes/draft", dependencies=[needs(Permission.STATE)])
    def draft(request: Request, fields: Fields) -> Response:
        """YAML, mistakes at their fields, and what is odd about it."""
        form = form_in(fields)
        section = section_of(form)
        problems, routes, route = examined(parts, section, one(fields, "original"))
        odd = flags(routes, parts.installed().manifests, {}, {})[route.name] if route is not None else []
        return frame.part(request, "routes/draft.html", yaml=yaml_of(section), wrong=by_field(problems, form),
                          fields=FIELDS, lines=form.lines,
                          odd=[flag_words(each, partial(frame.translated, request)) for each in odd
                               if each.kind != NEVER])

    @pages.post("/routes/draft/past", dependencies=[needs(Permission.STATE)])
    def tried(request: Request, fields: Fields) -> Response:
        """What it would have matched, and what would have run otherwise; nothing of what is no route yet."""
        routes, route = in_place(parts, section_of(form_in(fields)), one(fields, "original"))
        if route is None:
            return Response(media_type="text/html")
        past = memory.past(int(one(fields, "days")) if one(fields, "days") in map(str, SPANS) else SPANS[1])
        return frame.part(request, "routes/past.html", days=past.days, spans=SPANS, route=route, past=past,
                          trial=history.tried(route, past), span=history.span_days(past),
                          changes=changes(parts, routes, past), examples=history.EXAMPLES)

    @pages.post("/routes/save", dependencies=[needs(Permission.CONFIGURE)])
    def save(request: Request, fields: Fields) -> Response:
        """Put it in force."""
        form, original, note = form_in(fields), one(fields, "original"), one(fields, "note").strip()
        what = f"route {form.name.strip()} {'changed' if original else 'added'}" + (f": {note}" if note else "")
        author = request.app.state.identity(request).name
        ordered(lambda: parts.desk.change(
            edits.put(original or None, section_of(form)), author=author, note=what[:500], seen=one(fields, "seen"),
        ))
        return Response(headers={"HX-Redirect": "/routes"})

    return pages


def _choices(parts: Parts) -> dict[str, Any]:
    """What the form offers."""
    configuration = parts.configuration()
    installed = parts.installed()
    return {
        "manifests": sorted(installed.manifests.values(), key=lambda each: each.name),
        "receivers": [name for name, each in configuration.destinations.items() if each.receives],
        "outsides": [name for name, each in configuration.peers.items() if each.receives and each.deidentify],
        "archives": sorted({*configuration.peers, *configuration.retrieving.archives}),
        "operators": {name: OPERATOR_WORDS[name] for name in OPERATORS}, "priorities": PRIORITIES,
        "groups": GROUPS, "group_words": GROUP_WORDS, "kept": KEPT,
        "common": [(name, MEANINGS[name]) for name in COMMON],
    }


def _section(parts: Parts, name: str) -> dict[str, Any]:
    """A route in plain data as the file says it. Raises HTTPException 404, 409."""
    found: list[dict[str, Any]] = []

    def look() -> None:
        document, _ = read_document(parts.desk.text())
        found.extend(each for each in document.get("routes") or [] if str(each.get("name", "")).strip() == name)

    ordered(look)
    if not found:
        raise HTTPException(404, f"there is no route {name}")
    return found[0]


def _renamed(form: RouteForm, taken: set[str]) -> RouteForm:
    number = 2
    while f"{form.name}-{number}" in taken:
        number += 1
    return replace(form, name=f"{form.name}-{number}")
