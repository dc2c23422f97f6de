"""Administration: people, settings, audit, back-ups, diagnosis, the guided first start, and one's own account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from radnode.node.pages.administration import backups, diagnosis, mine, people, settings, start, trail
from radnode.node.pages.frame import Area
from radnode.node.pages.words import N_
from radnode.node.web.access import HOLDS, Permission, needs

if TYPE_CHECKING:
    from radnode.node.pages.frame import Frame
    from radnode.node.pages.site import Parts

AREA = Area(path="/administration", label=N_("Administration"), permission=Permission.STATE)
_FIRST = ((Permission.ACCOUNTS, people.PATH), (Permission.AUDIT, trail.PATH))
"""Where somebody is led who opens the area: the first of these that he may see, else his own account."""


def first_page(parts: Parts, role: str) -> str:
    """Where somebody is led who has just set his first password: an administrator through the first start."""
    guided = Permission.CONFIGURE in HOLDS.get(role, frozenset()) and not start.is_finished(parts)  # type: ignore[call-overload]
    return start.PATH if guided else "/"


def router(parts: Parts, frame: Frame) -> APIRouter:
    """All pages of the area."""
    pages = APIRouter()
    for part in (people, settings, trail, backups, diagnosis, start, mine):
        pages.include_router(part.router(parts, frame))

    @pages.get(AREA.path, dependencies=[needs(Permission.STATE)])
    def begin(request: Request) -> Response:
        """To the first page that somebody may see."""
        held = request.app.state.identity(request).permissions
        return RedirectResponse(next((path for needed, path in _FIRST if needed in held), mine.PATH), 303)

    return pages
