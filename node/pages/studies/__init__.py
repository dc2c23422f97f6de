"""Studies: search, the timeline of each, and what can be ordered of it by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter

from radnode.node.pages.frame import Area, Frame
from radnode.node.pages.studies import listing, orders, timeline
from radnode.node.pages.words import N_
from radnode.node.web.access import Permission

if TYPE_CHECKING:
    from radnode.node.pages.site import Parts

AREA = Area(path="/studies", label=N_("Studies"), permission=Permission.STUDIES)


def router(parts: Parts, frame: Frame) -> APIRouter:
    """The list before the timelines, whose address is a number."""
    pages = APIRouter()
    for each in (listing, timeline, orders):
        pages.include_router(each.router(parts, frame))
    return pages
