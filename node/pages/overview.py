"""The overview: what happens now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

from radnode.node.pages.frame import Area, Frame
from radnode.node.pages.words import N_
from radnode.node.web.access import Permission, needs

if TYPE_CHECKING:
    from radnode.node.pages.site import Parts

AREA = Area(path="/", label=N_("Overview"), permission=Permission.STATE)


def router(parts: Parts, frame: Frame) -> APIRouter:
    """The page."""
    pages = APIRouter(dependencies=[needs(Permission.STATE)])

    @pages.get("/")
    def overview(request: Request) -> Response:
        """Ledger, queue, alarms."""
        return frame.page(request, "overview.html", state=parts.answers.status())

    return pages
