"""The area: its entry in the navigation, and the pages below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter

from radnode.node.pages.frame import Area, Frame
from radnode.node.pages.monitoring import comparison, feedback, figures
from radnode.node.pages.words import N_
from radnode.node.web.access import Permission

if TYPE_CHECKING:
    from radnode.node.pages.site import Parts

AREA = Area(path="/monitoring", label=N_("Monitoring"), permission=Permission.STATE)


def router(parts: Parts, frame: Frame) -> APIRouter:
    """All pages of the area."""
    pages = APIRouter()
    for each in (figures, feedback, comparison):
        pages.include_router(each.router(parts, frame))
    return pages
